package main

import (
	"bytes"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"net/url"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

// rootsModule is where the CA certificates of the image are from.
const rootsModule = "golang.org/x/crypto/x509roots/fallback"

// specVersion of CycloneDX: the newest that the common scanners read.
const specVersion = cdx.SpecVersion1_6

// billOfMaterials is a CycloneDX document of everything in an image. The modules are those which the linker
// recorded in the programs in dir: what is in go.mod and not in a program is not in it.
func billOfMaterials(dir, arch, imageDigest string, r release) ([]byte, error) {
	image := cdx.Component{
		BOMRef: "image", Type: cdx.ComponentTypeContainer, Name: "hawser", Version: imageDigest,
		PackageURL: "pkg:oci/hawser@" + url.QueryEscape(imageDigest) + "?arch=" + arch,
		Properties: &[]cdx.Property{{Name: "org.opencontainers.image.version", Value: r.Version}},
	}
	modules := map[string]cdx.Component{}
	var apps []cdx.Component
	edges := []cdx.Dependency{}
	contents := []string{}
	for _, program := range programs {
		info, err := buildinfo.ReadFile(filepath.Join(dir, program))
		if err != nil {
			return nil, fmt.Errorf("reading what is in program %s: %w", program, err)
		}
		app := cdx.Component{
			BOMRef: program, Type: cdx.ComponentTypeApplication, Name: program, Version: r.Version,
			PackageURL: goURL(module, r.Version) + "#cmd/" + program,
			Licenses:   &cdx.Licenses{{License: &cdx.License{ID: "Apache-2.0"}}},
		}
		apps = append(apps, app)
		contents = append(contents, app.BOMRef)
		uses := map[string]bool{}
		std := library("std", strings.Fields(info.GoVersion)[0][len("go"):], "") // the toolchain may name experiments after a space
		for _, c := range append([]cdx.Component{std}, libraries(info)...) {
			modules[c.BOMRef] = c
			uses[c.BOMRef] = true
		}
		needed := slices.Sorted(maps.Keys(uses))
		edges = append(edges, cdx.Dependency{Ref: app.BOMRef, Dependencies: &needed})
	}
	roots, err := certificatesComponent()
	if err != nil {
		return nil, err
	}
	contents = append(contents, roots.BOMRef)
	components := append(apps, roots)
	for _, ref := range slices.Sorted(maps.Keys(modules)) {
		components = append(components, modules[ref])
	}
	edges = append([]cdx.Dependency{{Ref: image.BOMRef, Dependencies: &contents}}, edges...)
	bom := cdx.NewBOM()
	bom.SerialNumber = serial(imageDigest)
	bom.Metadata = &cdx.Metadata{Timestamp: r.Created.Format(time.RFC3339), Component: &image}
	bom.Components, bom.Dependencies = &components, &edges
	var out bytes.Buffer
	if err := cdx.NewBOMEncoder(&out, cdx.BOMFileFormatJSON).SetPretty(true).EncodeVersion(bom, specVersion); err != nil {
		return nil, fmt.Errorf("writing the bill of materials: %w", err)
	}
	return out.Bytes(), nil
}

func libraries(info *debug.BuildInfo) []cdx.Component {
	var list []cdx.Component
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		list = append(list, library(m.Path, m.Version, m.Sum))
	}
	return list
}

// library is a Go module. Its hash is the h1 sum of go.sum, which is how other makers of such documents give it.
func library(name, version, sum string) cdx.Component {
	c := cdx.Component{
		BOMRef: goURL(name, version), Type: cdx.ComponentTypeLibrary, Name: name, Version: version,
		PackageURL: goURL(name, version), Scope: cdx.ScopeRequired,
	}
	if raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(sum, "h1:")); err == nil && len(raw) == sha256.Size {
		c.Hashes = &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: hex.EncodeToString(raw)}}
	}
	return c
}

// certificatesComponent says which version of Mozilla's roots this program carries.
func certificatesComponent() (cdx.Component, error) {
	info, ok := debug.ReadBuildInfo()
	if ok {
		for _, m := range info.Deps {
			if m.Path == rootsModule {
				c := library(m.Path, m.Version, m.Sum)
				c.Type, c.Description = cdx.ComponentTypeData, "/"+certificatesFile
				return c, nil
			}
		}
	}
	return cdx.Component{}, fmt.Errorf("finding the version of %s: this program was built without modules", rootsModule)
}

func goURL(module, version string) string {
	return "pkg:golang/" + module + "@" + url.PathEscape(version)
}

// serial is the document's own name: another one for another image, the same for the same.
func serial(imageDigest string) string {
	sum := sha256.Sum256([]byte("sbom of " + imageDigest))
	sum[6], sum[8] = sum[6]&0x0f|0x80, sum[8]&0x3f|0x80 // version 8, variant 1 (RFC 9562)
	return fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", sum[0:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
}
