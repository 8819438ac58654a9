package main

import (
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
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
	return newAccount(u)
}

// ownAccount returns the account of this process.
func ownAccount() account {
	a := account{name: strconv.Itoa(os.Geteuid()), uid: os.Geteuid(), gid: os.Getegid()}
	if u, err := user.LookupId(a.name); err == nil {
		a.name = u.Username
	}
	a.groups, _ = os.Getgroups()
	a.self = true
	return a
}

func newAccount(u *user.User) (account, error) {
	a := account{name: u.Username}
	var err error
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

// in reports whether the account is a member of a group.
func (a account) in(gid int) bool {
	for _, g := range append([]int{a.gid}, a.groups...) {
		if g == gid {
			return true
		}
	}
	return false
}

// may reports whether the account has a right on a file: r, w or x, as test(1)
// finds it, which knows access control lists too. Only root can ask for another
// account.
func (a account) may(right, path string) bool {
	path, err := filepath.Abs(path)
	if err != nil {
		return false
	}
	cmd := exec.Command("test", "-"+right, path)
	cmd.Dir = "/"
	if !a.self {
		credential := &syscall.Credential{Uid: uint32(a.uid), Gid: uint32(a.gid)}
		for _, g := range a.groups {
			credential.Groups = append(credential.Groups, uint32(g))
		}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: credential}
	}
	return cmd.Run() == nil
}
