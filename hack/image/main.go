package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
)

// defaultName is what the image is called unless --name says otherwise; the chart has the same.
const defaultName = "ghcr.io/hawser-io/hawser"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

// options of one run.
type options struct {
	root, out, rootfs string
	name, push        string
	tarball           string
	arches            []string
	release           release
}

func parse(args []string) (options, error) {
	o := options{}
	var arches string
	flags := flag.NewFlagSet("image", flag.ContinueOnError)
	flags.StringVar(&o.root, "root", "../..", "folder of the module that the programs are in")
	flags.StringVar(&o.out, "out", "", "folder to write image/ (an OCI layout) and sbom-ARCH.json to (default ROOT/dist)")
	flags.StringVar(&o.rootfs, "rootfs", "", "write the image's file system to this folder instead, for one architecture")
	flags.StringVar(&o.name, "name", defaultName, "name of the image, without a tag")
	flags.StringVar(&arches, "arch", "amd64,arm64", "architectures, of linux")
	flags.StringVar(&o.tarball, "tarball", "", "also write the image of one architecture, this machine's if it is among them, for docker load and kind load image-archive")
	flags.StringVar(&o.push, "push", "", "also push everything to this reference, REGISTRY/NAME:TAG, with the credentials of docker login")
	flags.StringVar(&o.release.Version, "version", "", "version of the programs (default: the tag of a clean checkout, or else devel)")
	flags.StringVar(&o.release.Revision, "revision", "", "commit that it is made from (default: what git says)")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("reading the arguments: there is no %q", flags.Arg(0))
	}
	o.arches = strings.Split(arches, ",")
	for _, arch := range o.arches {
		if !slices.Contains([]string{"amd64", "arm64"}, arch) {
			return o, fmt.Errorf("--arch %q: there is only amd64 and arm64", arch)
		}
	}
	if o.rootfs != "" && len(o.arches) != 1 {
		return o, fmt.Errorf("--rootfs holds one architecture: choose it by --arch")
	}
	if o.out == "" {
		o.out = filepath.Join(o.root, "dist")
	}
	return o, nil
}

func run(ctx context.Context, args []string) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	if err := o.release.complete(ctx, o.root); err != nil {
		return err
	}
	if o.rootfs != "" {
		return writeRootfs(ctx, o)
	}
	work, err := os.MkdirTemp("", "hawser-image-")
	if err != nil {
		return fmt.Errorf("making a folder for the programs: %w", err)
	}
	defer os.RemoveAll(work)
	var built []platformImage
	for _, arch := range o.arches {
		fmt.Fprintf(os.Stderr, "image: building linux/%s, version %s\n", arch, o.release.Version)
		p, err := buildPlatform(ctx, o.root, filepath.Join(work, arch), arch, o.release)
		if err != nil {
			return err
		}
		built = append(built, p)
	}
	layout, err := writeLayout(o, built)
	if err != nil {
		return err
	}
	fmt.Printf("%s@%s in %s\n", o.name, layout.digest, filepath.Join(o.out, "image"))
	if o.tarball != "" {
		i := max(0, slices.Index(o.arches, runtime.GOARCH))
		if err := writeTarball(o.tarball, o.name, o.release.Version, built[i]); err != nil {
			return err
		}
	}
	if o.push != "" {
		return push(ctx, o.push, layout)
	}
	return nil
}

// writeRootfs is for a Dockerfile, whose image then holds what ours does.
func writeRootfs(ctx context.Context, o options) error {
	if err := build(ctx, o.root, filepath.Join(o.rootfs, programsDir), o.arches[0], o.release.Version); err != nil {
		return err
	}
	files, err := baseFiles()
	if err != nil {
		return err
	}
	for _, f := range files {
		if err := f.write(o.rootfs); err != nil {
			return err
		}
	}
	return nil
}
