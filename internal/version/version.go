// Package version says which build of Hawser this is, in one place for all that record or compare it.
package version

import "runtime/debug"

// version is set by the linker in releases: -X github.com/hawser-io/hawser/internal/version.version=v1.2.3.
var version string

// String returns the release, or the module version, or "devel".
func String() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "devel"
}
