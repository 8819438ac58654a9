package main

import (
	"errors"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// An account is a user whose rights on files are checked.
type account struct {
	name   string
	uid    int
	gid    int
	groups []int
	self   bool // the user of this process
}

// lookUpAccount returns the account of a user name.
func lookUpAccount(name string) (account, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return account{}, err
	}
	a := account{name: u.Username}
	if a.uid, err = strconv.Atoi(u.Uid); err != nil {
		return a, err
	}
	if a.gid, err = strconv.Atoi(u.Gid); err != nil {
		return a, err
	}
	ids, err := u.GroupIds()
	for _, id := range ids {
		if gid, bad := strconv.Atoi(id); bad == nil {
			a.groups = append(a.groups, gid)
		}
	}
	a.self = a.uid == os.Geteuid()
	return a, err
}

// ownAccount returns the account of this process.
func ownAccount() account {
	a := account{name: strconv.Itoa(os.Geteuid()), uid: os.Geteuid(), gid: os.Getegid(), self: true}
	if u, err := user.LookupId(a.name); err == nil {
		a.name = u.Username
	}
	a.groups, _ = os.Getgroups()
	return a
}

// in reports whether the account is a member of a group.
func (a account) in(gid int) bool { return a.gid == gid || slices.Contains(a.groups, gid) }

// may reports whether the account has a right on a file: r, w or x, by access
// control lists too. For another account, about which only root can ask, it
// runs test(1), and where there is none, it cannot tell and reports true.
func (a account) may(right, path string) bool {
	if a.self {
		return unix.Access(path, map[string]uint32{"r": unix.R_OK, "w": unix.W_OK, "x": unix.X_OK}[right]) == nil
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return false
	}
	credential := &syscall.Credential{Uid: uint32(a.uid), Gid: uint32(a.gid)}
	for _, g := range a.groups {
		credential.Groups = append(credential.Groups, uint32(g))
	}
	cmd := exec.Command("test", "-"+right, path)
	cmd.Dir, cmd.SysProcAttr = "/", &syscall.SysProcAttr{Credential: credential}
	err = cmd.Run()
	return err == nil || errors.Is(err, exec.ErrNotFound)
}
