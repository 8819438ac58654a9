package mailmantest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"permalink-milter/milter/mtatest/need"
)

// TestPluginOnEachPython runs the plugin's own tests on Debian's Python and on the others that this machine has.
func TestPluginOnEachPython(t *testing.T) {
	need.File(t, python, "testdata/install.sh python3")
	programs := []string{python}
	for minor := 9; minor <= 13; minor++ {
		program := fmt.Sprintf("python3.%d", minor)
		// A version manager may put a name into PATH that leads nowhere.
		if exec.Command(program, "--version").Run() == nil {
			programs = append(programs, program)
		}
	}
	for _, program := range programs {
		t.Run(program, func(t *testing.T) {
			cmd := exec.CommandContext(limit(t), program, "-B", "-W", "error", "-m", "unittest")
			cmd.Dir = ".."
			out, err := cmd.CombinedOutput()
			if err != nil || !strings.Contains(string(out), "OK") {
				t.Errorf("%v:\n%s", err, out)
			}
		})
	}
}

// TestInstalledPackagesStayOut has a package zope among the machine's own, as Debian's python3-zope.interface makes it:
// its .pth file takes the name before the unpacked zope.configuration is looked for.
func TestInstalledPackagesStayOut(t *testing.T) {
	need.File(t, python, "testdata/install.sh python3")
	m := &Mailman{o: Options{Dir: t.TempDir()}}
	need.File(t, unpacked(t), "registry/mailman/mailmantest/install.sh")
	if err := errors.Join(m.findPackages(), os.CopyFS(m.o.Dir, programs)); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PYTHONUSERBASE", t.TempDir())
	site, err := m.Run(limit(t), "", "-m", "site", "--user-site")
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) { // its status says whether the folder exists
		t.Fatal(err)
	}
	installed := strings.TrimSpace(string(site))
	nspkg, err := filepath.Glob(filepath.Join(m.root, "usr/lib/python3/dist-packages/zope.interface-*-nspkg.pth"))
	if err != nil || len(nspkg) != 1 {
		t.Fatal(nspkg, err)
	}
	pth, err := os.ReadFile(nspkg[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.MkdirAll(filepath.Join(installed, "zope", "interface"), 0o700),
		os.WriteFile(filepath.Join(installed, "zope", "interface", "__init__.py"), nil, 0o600),
		os.WriteFile(filepath.Join(installed, filepath.Base(nspkg[0])), pth, 0o600)); err != nil {
		t.Fatal(err)
	}
	out, err := m.Run(limit(t), "", "-c", "import zope.configuration, zope.interface; print(zope.interface.__file__)")
	if err != nil || !strings.HasPrefix(string(out), m.root) {
		t.Errorf("%v: zope.interface is %s", err, out)
	}
}
