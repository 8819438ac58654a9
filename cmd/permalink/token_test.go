package main

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"permalink-milter/hashheader"
	"permalink-milter/registry"
	"permalink-milter/registry/httpapi"
	"permalink-milter/registry/memreg"
	"permalink-milter/registry/stamp"
)

func TestANewTokenMayDoWhatItsTableSays(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	code, table, errs := permalink(t, nil, "token", "new", "--scope", "reserve", "--list", "*@lists.example.org", "--token-file", file)
	if code != exitOK {
		t.Fatal(errs)
	}
	if err := os.WriteFile(file+"s.toml", []byte(table), 0o600); err != nil {
		t.Fatal(err)
	}
	tokens, err := httpapi.LoadTokens(file + "s.toml")
	if err != nil {
		t.Fatal(err)
	}
	handler, err := httpapi.New(httpapi.Options{Registry: registry.New(memreg.New(), registry.Options{}), Policy: &stamp.Policy{}, Tokens: tokens})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	defer server.Close()
	reg, err := registryFlags{api: server.URL, tokenFile: file}.client()
	if err != nil {
		t.Fatal(err)
	}
	defer reg.Close()
	for list, want := range map[string]bool{develList: true, "devel@else.example": false} {
		request := registry.Request{List: list, Hash: md5ABC, Identity: hashheader.Identity{1}}
		if _, err := reg.Reserve(t.Context(), request); (err == nil) != want {
			t.Errorf("%s: %v", list, err)
		}
	}
	if err := reg.Release(t.Context(), develList, md5ABC, hashheader.Identity{1}); err == nil {
		t.Error("the token releases, which its scope does not allow")
	}
}
