package conform

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"permalink-milter/milter/mtatest/need"
)

// results is a Reporter that keeps them.
type results struct{ all []Result }

func (*results) Begin(int) error         { return nil }
func (r *results) Report(x Result) error { r.all = append(r.all, x); return nil }

// outcomes runs tests and returns how many ended in each way.
func outcomes(t *testing.T, tests []Test) (map[Outcome]int, []Result) {
	t.Helper()
	var r results
	if _, err := Run(context.Background(), tests, &r); err != nil {
		t.Fatal(err)
	}
	counts := make(map[Outcome]int)
	for _, x := range r.all {
		counts[x.Outcome]++
	}
	return counts, r.all
}

// passes wants every test to pass, but for as many as are skipped.
func passes(t *testing.T, tests []Test, skipped int) {
	t.Helper()
	counts, all := outcomes(t, tests)
	for _, r := range all {
		if r.Outcome == Fail || r.Outcome == Lapse || r.Outcome == Skip && skipped == 0 {
			t.Errorf("%s %s: %s: %s", r.ID, r.Name, r.Outcome, r.Reason)
		}
	}
	if counts[Pass] == 0 || counts[Skip] != skipped {
		t.Errorf("%v, want %d skipped", counts, skipped)
	}
}

func only(tests []Test, id string) (out []Test) {
	for _, test := range tests {
		if test.ID == id {
			out = append(out, test)
		}
	}
	return out
}

func TestAHashCommandPasses(t *testing.T) {
	t.Setenv(envFault, "")
	passes(t, Hash([]string{os.Args[0]}), 0)
}

func TestEachFaultOfAHashCommandIsSeen(t *testing.T) {
	for _, requirement := range Requirements {
		if !slices.Contains(requirement.Profiles, "hash") {
			continue
		}
		t.Run(requirement.ID, func(t *testing.T) {
			t.Setenv(envFault, requirement.ID)
			counts, _ := outcomes(t, only(Hash([]string{os.Args[0]}), requirement.ID))
			if counts[Fail]+counts[Lapse] == 0 || counts[Lapse] > 0 != (requirement.Level == Should) {
				t.Errorf("%v", counts)
			}
		})
	}
}

func TestBadHashCommandsFail(t *testing.T) {
	for _, command := range [][]string{{"true"}, {"false"}, {"cat"}, {"sh", "-c", "kill -9 $$"}, {"/nonexistent"}} {
		if counts, _ := outcomes(t, Hash(command)[:8]); counts[Pass] > 0 {
			t.Errorf("%v: %v", command, counts)
		}
	}
}

// The draft's implementation and the Mailman plugin share no code with ours.
func TestPythonPasses(t *testing.T) {
	need.Time(t, "it starts Python hundreds of times")
	need.Program(t, "python3", "python3")
	for name, c := range map[string]struct {
		env, dir string
		skipped  int
	}{
		"draft.py":  {"DRAFT", "../../../hashheader/draft", 0},
		"plugin.py": {"PLUGIN", "../../../registry/mailman", len(vectors.Links) + len((&hasher{}).verification())},
	} {
		dir, err := filepath.Abs(c.dir)
		if err != nil {
			t.Fatal(err)
		}
		t.Setenv(c.env, dir)
		t.Setenv("PYTHONDONTWRITEBYTECODE", "1")
		t.Run(name, func(t *testing.T) { passes(t, Hash([]string{"python3", "testdata/" + name}), c.skipped) })
	}
}
