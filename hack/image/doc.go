// Command image writes Hawser's container image without a container engine: an OCI image layout with an index of
// one image for each platform, made from nothing but static programs, CA certificates and a user that is not root.
//
//	go run -C hack/image . --out "$PWD/dist"
//	go run -C hack/image . --out "$PWD/dist" --tarball "$PWD/dist/image.tar"   # docker load, kind load image-archive
//	go run -C hack/image . --out "$PWD/dist" --push registry.example.com/hawser:v0.1.0
//
// The same source, version, commit and Go toolchain give the same digests, on every machine: no time of day, no
// path and no base image goes in. Beside the layout, and in it as a referrer of each image, lies an SBOM
// (CycloneDX) made of what the linker recorded in the programs themselves.
//
// It is a module of its own, so that who imports Hawser does not get the libraries of registries.
package main
