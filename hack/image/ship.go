package main

import (
	"context"
	"fmt"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// writeTarball writes one image in the form that `docker load` and `kind load image-archive` read.
func writeTarball(path, image, tag string, p platformImage) error {
	ref, err := name.NewTag(image+":"+tag, name.StrictValidation)
	if err != nil {
		return fmt.Errorf("naming the image: %w", err)
	}
	if err := tarball.WriteToFile(path, ref, p.Image); err != nil {
		return fmt.Errorf("writing the tarball: %w", err)
	}
	fmt.Printf("%s (linux/%s) in %s\n", ref, p.arch, path)
	return nil
}

// push sends the index, its images and their bills of materials to a registry.
func push(ctx context.Context, to string, w whole) error {
	ref, err := name.ParseReference(to, name.StrictValidation)
	if err != nil {
		return fmt.Errorf("--push: %w", err)
	}
	options := []remote.Option{remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain)}
	if err := remote.WriteIndex(ref, w.index, options...); err != nil {
		return fmt.Errorf("pushing the image: %w", err)
	}
	for _, r := range w.referrers {
		if err := r.push(ref.Context(), options); err != nil {
			return fmt.Errorf("pushing a bill of materials: %w", err)
		}
	}
	fmt.Printf("%s@%s\n", ref.Context(), w.digest)
	return nil
}

func (r referrer) push(to name.Repository, options []remote.Option) error {
	for kind, body := range map[types.MediaType][]byte{types.OCIEmptyJSON: r.config, sbomType: r.body} {
		if err := remote.WriteLayer(to, static.NewLayer(body, kind), options...); err != nil {
			return err
		}
	}
	descriptor, err := r.descriptor()
	if err != nil {
		return err
	}
	return remote.Put(to.Digest(descriptor.Digest.String()), r, options...)
}
