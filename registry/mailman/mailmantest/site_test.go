package mailmantest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"permalink-milter/milter/mtatest"
	"permalink-milter/milter/mtatest/need"
)

// TestMailman starts one site for all that can share it.
func TestMailman(t *testing.T) {
	need.Program(t, "postfix", "postfix")
	need.File(t, unpacked(t), "registry/mailman/mailmantest/install.sh")
	a := newArchive(t)
	s := startSite(t, a.site())
	for name, test := range map[string]func(*testing.T, *Site, *archive){
		"vectors": testVectors,
		"a post arrives with a permalink that opens in HyperKitty": testPermalinksOpen,
		"the plugin": testPlugin,
		"every link opens, and every archived post has one":              testEveryLinkOpens,
		"a post that Mailman or HyperKitty cannot hold is as documented": testLimits,
	} {
		t.Run(name, func(t *testing.T) { test(t, s, a) })
	}
}

// unpacked is where install.sh puts Mailman.
func unpacked(t *testing.T) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(cache, "permalink-milter", "mailman3")
}

func startSite(t *testing.T, o SiteOptions) *Site {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{dir, filepath.Dir(dir)} { // for the user postfix
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s, err := StartSite(limit(t), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(s.Log())
		}
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// limit is a context that ends a test which hangs.
func limit(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func TestMissingMailmanNamesTheScript(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	_, err := Start(limit(t), Options{Dir: t.TempDir()})
	if !errors.Is(err, mtatest.ErrMissingProgram) || !strings.Contains(err.Error(), "registry/mailman/mailmantest/install.sh") {
		t.Errorf("error %v", err)
	}
}
