package main

import (
	"runtime"
	"runtime/debug"
)

// version returns what the go command wrote into the program: a release's
// tag, or the commit that it was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(unknown), " + runtime.Version()
	}
	return info.Main.Version + ", " + info.GoVersion
}
