package main

import (
	"archive/tar"
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// User that the programs run as, in the image and in the chart.
const (
	userID   = "65532"
	userName = "hawser"
)

// Files of the image beside the programs.
const (
	passwdFile       = "etc/passwd"
	groupFile        = "etc/group"
	certificatesFile = "etc/ssl/certs/ca-certificates.crt" // where Go, and most others, look first
)

// file is one file of the image; parents are made as they are needed.
type file struct {
	name string // relative, with slashes
	mode int64
	body []byte
}

// write writes the file into a folder.
func (f file) write(dir string) error {
	target := filepath.Join(dir, filepath.FromSlash(f.name))
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return fmt.Errorf("writing the file system: %w", err)
	}
	if err := os.WriteFile(target, f.body, os.FileMode(f.mode)); err != nil {
		return fmt.Errorf("writing the file system: %w", err)
	}
	return nil
}

// baseFiles are what the programs need around them.
func baseFiles() ([]file, error) {
	roots, err := certificates()
	if err != nil {
		return nil, err
	}
	return []file{
		{groupFile, 0o644, []byte("root:x:0:\n" + userName + ":x:" + userID + ":\n")},
		{passwdFile, 0o644, []byte("root:x:0:0:root:/:/sbin/nologin\n" + userName + ":x:" + userID + ":" + userID + ":Hawser:/:/sbin/nologin\n")},
		{certificatesFile, 0o644, roots},
	}, nil
}

// certificates are Mozilla's roots, as the Go project publishes them, so that a version in go.sum says which they
// are. A root that Mozilla trusts with a condition which a PEM file cannot hold is left out: without the condition
// it would be trusted for more.
func certificates() ([]byte, error) {
	var out bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint != nil {
			continue
		}
		c, err := x509.ParseCertificate(root.Certificate)
		if err != nil {
			return nil, fmt.Errorf("reading the CA certificates: %w", err)
		}
		name := c.Subject.CommonName
		if name == "" {
			name = strings.Join(c.Subject.OrganizationalUnit, ", ")
		}
		fmt.Fprintf(&out, "# %s\n", strings.Map(printable, name))
		if err := pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}); err != nil {
			return nil, fmt.Errorf("writing the CA certificates: %w", err)
		}
	}
	return out.Bytes(), nil
}

func printable(r rune) rune {
	if r < ' ' {
		return ' '
	}
	return r
}

// archive is a tar file of the files, in their order, each after its parents. Everything belongs to root, so that
// the user who runs the programs cannot change them, and is as old as the source.
func archive(files []file, created time.Time) ([]byte, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	made := map[string]bool{}
	for _, f := range files {
		for i, r := range f.name {
			if r != '/' || made[f.name[:i]] {
				continue
			}
			made[f.name[:i]] = true
			dir := &tar.Header{Typeflag: tar.TypeDir, Name: f.name[:i] + "/", Mode: 0o755, ModTime: created, Format: tar.FormatUSTAR}
			if err := w.WriteHeader(dir); err != nil {
				return nil, fmt.Errorf("writing a layer: %w", err)
			}
		}
		head := &tar.Header{Typeflag: tar.TypeReg, Name: f.name, Mode: f.mode, Size: int64(len(f.body)), ModTime: created, Format: tar.FormatUSTAR}
		if err := w.WriteHeader(head); err != nil {
			return nil, fmt.Errorf("writing a layer: %w", err)
		}
		if _, err := w.Write(f.body); err != nil {
			return nil, fmt.Errorf("writing a layer: %w", err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("writing a layer: %w", err)
	}
	return out.Bytes(), nil
}
