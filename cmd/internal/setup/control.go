package setup

import (
	"path/filepath"
	"strings"

	"permalink-milter/config"
)

// ControlSocket returns the socket on which a daemon with a state directory
// serves the tool.
func ControlSocket(stateDir string) string { return filepath.Join(stateDir, "control.sock") }

// StoreName returns the URL of a registry, as config.InStateDir makes it, in the
// form by which daemon and tool find out whether they mean the same one: a file
// with its whole path, and no password.
func StoreName(url string) string {
	if file, ok := strings.CutPrefix(url, "bolt:"); ok {
		if whole, err := filepath.Abs(file); err == nil {
			return "bolt:" + whole
		}
	}
	return config.MaskURL(url)
}
