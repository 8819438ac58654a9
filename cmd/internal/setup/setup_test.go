package setup_test

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"permalink-milter/cmd/internal/setup"
	"permalink-milter/config"
	"permalink-milter/hashheader"
	"permalink-milter/registry/boltreg"
)

func TestPolicyOfTheExample(t *testing.T) {
	c := config.Example()
	if err := c.Check().Err(); err != nil {
		t.Fatal(err)
	}
	p, err := setup.Policy(c)
	if err != nil {
		t.Fatal(err)
	}
	holding := p.Holding("devel@lists.example.org")
	if len(holding) != 1 || holding[0].URL.String() != c.Archives[0].URL || p.AlgorithmOf(holding[0]) != hashheader.SHA1 {
		t.Errorf("%+v", holding)
	}
	if len(p.Holding("devel-bounces@lists.example.org")) != 0 {
		t.Error("the list manager's own address is held")
	}
}

func TestClientsOfListFields(t *testing.T) {
	c := config.Example()
	c.Milter.ListFieldsFrom = []string{"192.0.2.1", "2001:db8::/32", config.Authenticated}
	if err := c.Check().Err(); err != nil {
		t.Fatal(err)
	}
	p, err := setup.Policy(c)
	if err != nil || !p.ListFieldsFrom.Authenticated || fmt.Sprint(p.ListFieldsFrom.Networks) != "[192.0.2.1/32 2001:db8::/32]" {
		t.Errorf("%+v, %v", p, err)
	}
	c.Milter.ListFieldsFrom = []string{"lists.example.org"}
	if _, err := setup.Policy(c); err == nil || !strings.HasPrefix(err.Error(), "milter.list_fields_from: ") {
		t.Errorf("a name: %v", err)
	}
}

func TestStores(t *testing.T) {
	open := func(url string, create bool) error {
		store, err := setup.OpenStore(url, config.Default().Registry, time.Second, create)
		if err == nil {
			t.Cleanup(func() { store.Close() })
		}
		return err
	}
	file := "bolt:" + filepath.Join(t.TempDir(), "new", "r.db")
	if err := open(file, false); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), file) {
		t.Errorf("a missing file: %v", err)
	}
	if err := open(file, true); err != nil {
		t.Errorf("a new file: %v", err)
	}
	if err := open(file, false); !errors.Is(err, boltreg.ErrInUse) {
		t.Errorf("a file in use: %v", err)
	}
	for _, url := range []string{"memory:", "redis://127.0.0.1:1", "redis+sentinel://h:1/mymaster"} {
		if err := open(url, false); err != nil {
			t.Errorf("%s: %v", url, err)
		}
	}
	for _, url := range []string{"bolt:", "etcd://h", "redis://h:x", "redis+sentinel://h:1"} {
		if err := open(url, true); err == nil {
			t.Errorf("%s is opened", url)
		}
	}
}

func TestStoresAreCheckedWithoutOpeningThem(t *testing.T) {
	for text, want := range map[string]string{
		"bolt:/nowhere/r.db":   "",
		"memory:":              "",
		"redis://127.0.0.1:1":  "",
		"redis+sentinel://h:1": "primary's name",
	} {
		problems := new(config.Problems)
		c := config.Default().Registry
		c.URL = text
		setup.CheckStore(problems, c)
		if err := problems.Err(); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

// An archive without a target is followed to its own URL.
func TestAnArchiveWithoutATargetHasNone(t *testing.T) {
	c := config.Default()
	c.Archives = []config.Archive{{Name: "a", URL: "https://a.example/{token}"}}
	if a := setup.Archives(c)[0]; !a.Target.IsZero() || a.Following().String() != "https://a.example/{token}" {
		t.Errorf("target %q, followed to %q", a.Target, a.Following())
	}
}
