package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"permalink-milter/registry/boltreg"
	"permalink-milter/registry/memreg"
)

// importMbox has n messages; each tenth has the Message-ID of the one before
// and another date.
func importMbox(n int) string {
	var b strings.Builder
	for i := range n {
		id := i
		if i%10 == 9 {
			id--
		}
		fmt.Fprintf(&b, "From a@example.org Tue Nov 24 11:00:00 2026\nMessage-ID: <%d@example.org>\nDate: %d\n\n", id, i)
	}
	return b.String()
}

func TestImportGoesOnWhereItStopped(t *testing.T) {
	url := "bolt:" + filepath.Join(t.TempDir(), "r.db")
	runImport := func(n int) string {
		code, out, errs := permalink(t, strings.NewReader(importMbox(n)), "import", "--reserve-only", "--list", "devel@lists.example.org", "--registry", url)
		if code != exitOK || errs != "" {
			t.Fatalf("exit %d: %s", code, errs)
		}
		return out[strings.LastIndex(strings.TrimSpace(out), "\n")+1:]
	}
	for _, step := range []struct {
		n    int
		want string
	}{
		{1500, "1500 messages: 1500 reserved, 0 held already; 150 collided"},
		{3000, "3000 messages: 1500 reserved, 1500 held already; 300 collided"},
		{3000, "3000 messages: 0 reserved, 3000 held already; 300 collided"},
	} {
		if got := runImport(step.n); !strings.HasPrefix(got, step.want) {
			t.Errorf("%s, want %s", got, step.want)
		}
	}
}

// Of a hash the first message read keeps the bare token, however many are
// reserved at a time.
func TestImportKeepsTheOrderOfCollisions(t *testing.T) {
	var mbox strings.Builder
	for i := range 300 {
		fmt.Fprintf(&mbox, "From a@example.org Tue Nov 24 11:00:00 2026\nMessage-ID: <same@example.org>\nDate: %d\n\n", i)
	}
	_, out, _ := permalink(t, strings.NewReader(mbox.String()), "import", "--reserve-only", "--list", "devel@lists.example.org", "--registry", "bolt:"+filepath.Join(t.TempDir(), "r.db"))
	for i, line := range strings.Split(out, "\n")[:299] {
		if !strings.Contains(line, fmt.Sprintf("-%d (message %d, ", i+2, i+2)) {
			t.Fatalf("line %d: %s", i, line)
		}
	}
}

func TestImportReportsWhatIsOdd(t *testing.T) {
	separator := "From a@example.org Tue Nov 24 11:00:00 2026\n"
	for name, c := range map[string]struct{ message, want string }{
		"a NUL":                 {"Message-ID: <abc@example.org>\nSubject: a\x00b\n\n", "-:84: odd: abc@example.org: NUL in the header section (message 1, \"a\\u0000b\")\n1 mbox; 0 From_-like lines taken for text\n1 message: 1 reserved"},
		"no field that matters": {"Received: by mx\n\n", "-:0: missing: skipped: it has neither From nor Date to derive one from (message 1)\n1 mbox; 0 From_-like lines taken for text\n1 message: 0 reserved"},
		"an empty id":           {"Message-ID: <>\nFrom: a@example.org\n\n", "-:0: missing: an id was derived (message 1)\n-:0: odd: "},
		"cut off":               {"Message-ID: <abc@exam", "-:0: error: ends in the middle of a header line: cut off? (message 1)\n1 mbox; 0 From_-like lines taken for text\n0 messages: 0 reserved"},
	} {
		_, out, errs := permalink(t, strings.NewReader(separator+c.message), "import", "--reserve-only", "--list", "devel@lists.example.org", "--registry", "bolt:"+filepath.Join(t.TempDir(), "r.db"))
		if !strings.HasPrefix(out, c.want) || errs != "" {
			t.Errorf("%s: %s%s", name, out, errs)
		}
	}
}

func TestInterruptedImportSaysHowToGoOn(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, errs strings.Builder
	code := run(ctx, []string{"import", "--reserve-only", "--list", "devel@lists.example.org", "--registry", "bolt:" + filepath.Join(t.TempDir(), "r.db")},
		stdio{strings.NewReader(importMbox(10)), &out, &errs})
	if code != exitTemporary || !strings.Contains(errs.String(), "run it again to go on") {
		t.Errorf("exit %d: %s", code, &errs)
	}
}

func TestARegistryInUseIsTemporaryTrouble(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "r.db")
	store, err := boltreg.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	for _, verb := range [][]string{{"lookup", "--all"}, {"verify"}, {"stamp"}, {"import", "--list", "devel@lists.example.org"}} {
		code, _, errs := permalink(t, strings.NewReader(""), append(verb, "--registry", "bolt:"+file)...)
		if code != exitTemporary || !strings.Contains(errs, "another process holds the registry file: stop it; if it is permalink-milter") {
			t.Errorf("%v: exit %d: %s", verb, code, errs)
		}
	}
}

// Whatever a line of an export holds, what is restored of it can be exported,
// and restored again without a change.
func FuzzRestoreLines(f *testing.F) {
	f.Add(`{"list":"a@b.example","token":"VP3JZR3MSKY5TQSMS5FHURHQXI","identity":"000102030405060708090a0b0c0d0e0f","state":"archived","since":"2026-11-24T11:00:00Z","url":"https://a.example/1"}`)
	f.Add("{}\n[]\n\"\"\nnull")
	f.Fuzz(func(t *testing.T, text string) {
		store := memreg.New()
		restore := func(text string) (changed bool) {
			for one := range linesToRestore(strings.NewReader(text), []string{"-"}) {
				changed = one.restore(t.Context(), store).changed || changed
			}
			return changed
		}
		restore(text)
		var export strings.Builder
		for r, err := range store.Scan(t.Context(), "") {
			if err != nil {
				t.Fatal(err)
			}
			if err := writeRecords(&export, r.Reservations()); err != nil {
				t.Fatal(err)
			}
		}
		if restore(export.String()) {
			t.Errorf("%q: the export %q changes what it is of", text, &export)
		}
	})
}
