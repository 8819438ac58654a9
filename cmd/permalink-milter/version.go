package main

import (
	"runtime"
	"runtime/debug"
)

// release is the version of a package; its build sets it.
var release string

// version returns the package's, or what the go command wrote into the
// program: a release's tag, or the commit that it was built from.
func version() string {
	if release != "" {
		return release + ", " + runtime.Version()
	}
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(unknown), " + runtime.Version()
	}
	return info.Main.Version + ", " + info.GoVersion
}
