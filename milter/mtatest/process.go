package mtatest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"permalink-milter/milter/mtatest/output"
)

// process is a program in a session of its own, so that all it ever starts can be ended with it.
type process struct {
	cmd    *exec.Cmd
	guard  *exec.Cmd
	output *output.Buffer
	exited chan struct{}
	err    error // valid once exited is closed
}

// startProcess runs cmd and collects what it prints in output. A guard kills the program and all that it started when
// this process dies without calling stop.
func startProcess(cmd *exec.Cmd, output *output.Buffer) (*process, error) {
	p := &process{cmd: cmd, output: output, exited: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = output, output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	// Descendants hold the output open after the program itself has gone.
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	go func() {
		p.err = cmd.Wait()
		close(p.exited)
	}()
	if err := p.startGuard(); err != nil {
		return nil, errors.Join(err, p.killGroup())
	}
	return p, nil
}

// startGuard runs a shell whose input ends with this process. The kernel's own signal (PR_SET_PDEATHSIG) does not
// outlive the change of user of Postfix's master.
func (p *process) startGuard() error {
	p.guard = exec.Command("sh", "-c", `read _; kill -s KILL -- "-$0"`, strconv.Itoa(p.cmd.Process.Pid))
	p.guard.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if _, err := p.guard.StdinPipe(); err != nil {
		return fmt.Errorf("guard %s: %w", p.cmd.Path, err)
	}
	if err := p.guard.Start(); err != nil {
		return fmt.Errorf("guard %s: %w", p.cmd.Path, err)
	}
	return nil
}

// stop sends sig, gives the program grace to end, and kills what is left of its process group.
func (p *process) stop(sig syscall.Signal, grace time.Duration) error {
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return errors.Join(fmt.Errorf("signal %s: %w", p.cmd.Path, err), p.endGuard(), p.killGroup())
	}
	var late error
	select {
	case <-p.exited:
	case <-time.After(grace):
		late = fmt.Errorf("%s still ran %v after %v and was killed; its output: %s", p.cmd.Path, grace, sig, p.output.String())
	}
	return errors.Join(late, p.endGuard(), p.killGroup())
}

// endGuard ends the guard before the group, whose number may soon be another's.
func (p *process) endGuard() error {
	if err := p.guard.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("end the guard of %s: %w", p.cmd.Path, err)
	}
	_ = p.guard.Wait() // killed, as it should be
	return nil
}

func (p *process) killGroup() error {
	group := p.cmd.Process.Pid
	deadline := time.Now().Add(10 * time.Second)
	for {
		// ESRCH is the aim here, and what else can fail shows below.
		_ = syscall.Kill(-group, syscall.SIGKILL)
		left := groupMembers(group)
		if len(left) == 0 {
			<-p.exited
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("processes %v of %s cannot be killed; end them by hand", left, p.cmd.Path)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// groupMembers lists the living processes of a process group. Signal 0 would not do: it counts zombies, which
// nobody collects in a container without an init.
func groupMembers(group int) []int {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	var pids []int
	for _, name := range stats {
		stat, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		// PID (COMMAND) STATE PPID PGRP ...; the command may hold spaces and parentheses.
		pid, _, _ := strings.Cut(string(stat), " ")
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if len(fields) < 3 || fields[0] == "Z" || fields[0] == "X" || fields[2] != strconv.Itoa(group) {
			continue
		}
		if n, err := strconv.Atoi(pid); err == nil {
			pids = append(pids, n)
		}
	}
	return pids
}
