// Package version names the release that a program was built from.
package version

import (
	"runtime"
	"runtime/debug"
)

// release is the version of a Debian or RPM package, which its build sets.
var release string

// String returns the version of the package, or the one that the go command
// recorded: the tag of a release, or the commit.
func String() string {
	if release != "" {
		return release + ", " + runtime.Version()
	}
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(unknown), " + runtime.Version()
	}
	return info.Main.Version + ", " + info.GoVersion
}
