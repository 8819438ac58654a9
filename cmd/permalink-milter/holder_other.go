//go:build !linux

package main

// portHolder returns 0: which process listens cannot be seen.
func portHolder(string) int { return 0 }

// socketHolder returns 0: which process listens cannot be seen.
func socketHolder(string) int { return 0 }
