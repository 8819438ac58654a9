package mailmantest

import (
	"fmt"
	"os/exec"
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
