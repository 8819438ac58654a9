package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/bbolt"

	"permalink-milter/registry"
	"permalink-milter/registry/boltreg/filecheck"
)

// spoil writes an entry into a registry's file as a newer version may.
func spoil(t *testing.T, url string, k registry.Key) {
	t.Helper()
	db, err := bbolt.Open(strings.TrimPrefix(url, "bolt:"), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		return tx.Bucket([]byte(filecheck.EntriesBucket)).Put([]byte(k.List+"\x00"+k.Hash), []byte("\x09newer"))
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
}

// Each verb that reads the whole registry names the entry that it cannot read,
// goes on, and fails, whether or not a daemon holds the registry. Those that do
// not need the entry do not fail.
func TestAnUnreadableEntryEndsNoVerb(t *testing.T) {
	dir := t.TempDir()
	url := "bolt:" + filepath.Join(dir, "permalinks.db")
	if err := os.Rename(strings.TrimPrefix(fillRegistry(t, 20), "bolt:"), strings.TrimPrefix(url, "bolt:")); err != nil {
		t.Fatal(err)
	}
	bad, good := variety(9)[0], variety(1)[1]
	spoil(t, url, registry.Key{List: bad.List, Hash: bad.Hash})
	verbs := func(t *testing.T) {
		for verb, want := range map[string]struct{ code, lines int }{
			"lookup --all":             {exitFailed, 30}, // some have expired
			"lookup " + bad.Hash:       {exitFailed, 0},
			"lookup " + good.Hash:      {exitOK, 2},
			"registry check":           {exitFailed, 1},
			"registry export":          {exitFailed, 38},
			"registry prune --dry-run": {exitFailed, 0},
		} {
			code, out, errs := permalink(t, nil, append(strings.Fields(verb), "--registry", url)...)
			named := strings.Contains(errs, bad.Hash) || strings.HasPrefix(verb, "registry prune") && strings.Contains(errs, "1 record cannot be read")
			if code != want.code || named != (code == exitFailed) || strings.Count(out, "\n") < want.lines {
				t.Errorf("%s: exit %d, %d lines, %s", verb, code, strings.Count(out, "\n"), errs)
			}
		}
	}
	verbs(t)
	d, err := startDaemon(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Kill()
	verbs(t)
	if code, out, errs := permalink(t, nil, "confirm", "--registry", url, "--url", "https://a.example/1", good.Token()); code != exitOK {
		t.Errorf("confirm beside it: exit %d, %s%s", code, out, errs)
	}
}
