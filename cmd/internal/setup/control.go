package setup

import "path/filepath"

// ControlSocket returns the socket on which a daemon with a state directory
// serves the tool.
func ControlSocket(stateDir string) string { return filepath.Join(stateDir, "control.sock") }
