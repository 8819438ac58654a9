package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"permalink-milter/milter/mtatest/need"
)

// units returns the daemon's units with the path of an existing program.
func units(t *testing.T) (service, socket string) {
	t.Helper()
	program, err := exec.LookPath("permalink-milter")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, name := range []string{"permalink-milter.service", "permalink-milter.socket"} {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, name), strings.Replace(string(data), "/usr/bin/permalink-milter", program, 1))
	}
	return filepath.Join(dir, "permalink-milter.service"), filepath.Join(dir, "permalink-milter.socket")
}

func TestUnitsAreSound(t *testing.T) {
	analyze := need.Program(t, "systemd-analyze", "systemd")
	service, socket := units(t)
	out, err := exec.Command(analyze, "verify", "--man=no", service, socket).CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("%v\n%s", err, out)
	}
}

// systemd 252 rates the exposure 1.6 of 10. Later versions may differ.
func TestServiceIsHardened(t *testing.T) {
	analyze := need.Program(t, "systemd-analyze", "systemd")
	service, _ := units(t)
	out, err := exec.Command(analyze, "security", "--offline=yes", "--threshold=20", "--no-pager", service).CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
