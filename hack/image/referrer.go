package main

import (
	"bytes"
	"encoding/json"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// sbomType is the media type, and the artifact type, of a bill of materials.
const sbomType = "application/vnd.cyclonedx+json"

// referrer is a bill of materials as an artifact whose subject is an image (OCI 1.1): registries list it with the
// image, and tools such as oras, cosign and trivy find it there.
type referrer struct{ config, body, manifest []byte }

func referTo(p platformImage) (referrer, error) {
	r := referrer{config: []byte("{}"), body: p.sbom}
	subject, err := partial.Descriptor(p.Image)
	if err != nil {
		return r, fmt.Errorf("attaching the bill of materials: %w", err)
	}
	config, err := blob(types.OCIEmptyJSON, r.config)
	if err != nil {
		return r, err
	}
	body, err := blob(sbomType, r.body)
	if err != nil {
		return r, err
	}
	body.Annotations = map[string]string{"org.opencontainers.image.title": "sbom-" + p.arch + ".json"}
	subject = &v1.Descriptor{MediaType: subject.MediaType, Size: subject.Size, Digest: subject.Digest}
	r.manifest, err = json.Marshal(v1.Manifest{
		SchemaVersion: 2, MediaType: types.OCIManifestSchema1, ArtifactType: sbomType,
		Config: config, Layers: []v1.Descriptor{body}, Subject: subject,
	})
	if err != nil {
		return r, fmt.Errorf("attaching the bill of materials: %w", err)
	}
	return r, nil
}

func blob(kind types.MediaType, body []byte) (v1.Descriptor, error) {
	digest, size, err := v1.SHA256(bytes.NewReader(body))
	if err != nil {
		return v1.Descriptor{}, fmt.Errorf("summing up a blob: %w", err)
	}
	return v1.Descriptor{MediaType: kind, Digest: digest, Size: size}, nil
}

func (r referrer) descriptor() (v1.Descriptor, error) {
	d, err := blob(types.OCIManifestSchema1, r.manifest)
	d.ArtifactType = sbomType
	return d, err
}

// RawManifest and MediaType make it a thing that can be put into a registry.
func (r referrer) RawManifest() ([]byte, error) { return r.manifest, nil }

// MediaType of the manifest.
func (r referrer) MediaType() (types.MediaType, error) { return types.OCIManifestSchema1, nil }
