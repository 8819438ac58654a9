package setup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"

	"permalink-milter/config"
)

// Installed is the file that packages install and whose daemon they start.
const Installed = "/etc/permalink-milter/permalink-milter.toml"

// ConfigFile returns the configuration file that both programs read where
// --config names none: the one that PERMALINK_CONFIG names, else the installed
// one. It returns "" where the variable is empty, or there is no such file.
func ConfigFile() string {
	if file, set := os.LookupEnv("PERMALINK_CONFIG"); set {
		return file
	}
	if _, err := os.Stat(Installed); errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	return Installed
}

// LoadConfig is config.Load that says who may read a file that this user may not.
func LoadConfig(file string) (*config.Config, *config.Problems) {
	c, problems := config.Load(file)
	for i, p := range problems.All() {
		if c == nil && errors.Is(p.Err, fs.ErrPermission) {
			problems.All()[i].Err = &config.Hint{Err: p.Err, Do: WhoMay(file) + "; --config FILE reads another, and an empty PERMALINK_CONFIG none"}
		}
	}
	return c, problems
}

// WhoMay says how to get at a file or socket that may not be opened. Where it
// cannot even be seen, its directory says whose it is.
func WhoMay(file string) string {
	info, err := os.Stat(file)
	if err != nil {
		info, err = os.Stat(filepath.Dir(file))
	}
	if err != nil {
		return "run this as root"
	}
	if info.Mode().Perm()&0o070 == 0 {
		return fmt.Sprintf("run this as root, or let a group read it: chgrp GROUP %[1]s && chmod 0640 %[1]s", file)
	}
	owner := info.Sys().(*syscall.Stat_t)
	group := strconv.Itoa(int(owner.Gid))
	if g, err := user.LookupGroupId(group); err == nil {
		group = g.Name
	}
	return fmt.Sprintf("run this as root, or as a member of the group %[1]s: usermod -aG %[1]s USER, and log in again", group)
}
