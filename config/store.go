package config

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
)

// The kinds of stores that a registry's URL may name.
const (
	Bolt   = "bolt"
	Memory = "memory"
	Redis  = "redis"
)

// storeKinds lists the kind of each URL scheme.
var storeKinds = []struct{ scheme, kind string }{
	{"bolt", Bolt},
	{"redis", Redis}, {"rediss", Redis}, {"unix", Redis},
	{"redis+sentinel", Redis}, {"rediss+sentinel", Redis},
	{"redis+cluster", Redis}, {"rediss+cluster", Redis},
	{"memory", Memory},
}

// StoreKind returns the kind of the store that a registry's URL names, by its
// scheme. Its error quotes no password.
func StoreKind(url string) (string, error) {
	scheme, rest, _ := strings.Cut(url, ":")
	var schemes []string
	for _, s := range storeKinds {
		if s.scheme == scheme && s.kind == Bolt && rest == "" {
			return "", errors.New("bolt: names no file: write one, such as bolt:permalinks.db")
		}
		if s.scheme == scheme {
			return s.kind, nil
		}
		schemes = append(schemes, s.scheme)
	}
	return "", fmt.Errorf("%.200q: unknown scheme: write a URL that begins with one of %s, such as bolt:permalinks.db",
		MaskURL(url), strings.Join(schemes, ": ")+":")
}

// InStateDir returns a registry's URL with the relative path of a bolt file
// made absolute: it begins in the state directory.
func InStateDir(url, dir string) string {
	if file, ok := strings.CutPrefix(url, "bolt:"); ok && file != "" && !filepath.IsAbs(file) {
		return "bolt:" + filepath.Join(dir, file)
	}
	return url
}

// MaskURL returns a URL with its password masked, fit for a log. It does not
// parse the URL, because net/url rejects those that name several hosts.
func MaskURL(url string) string {
	scheme, rest, _ := strings.Cut(url, "://")
	at := strings.LastIndexByte(rest, '@')
	user, _, found := strings.Cut(rest[:max(0, at)], ":")
	if !found {
		return url
	}
	return scheme + "://" + user + ":xxxxx" + rest[at:]
}
