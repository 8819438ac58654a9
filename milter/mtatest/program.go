package mtatest

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"syscall"
	"time"

	"permalink-milter/milter/mtatest/output"
)

// Program is any further server of a private mail system, with all that it starts. Its methods are for one goroutine,
// but for Output.
type Program struct {
	process *process
	output  output.Buffer
}

// StartProgram runs cmd and returns when ready succeeds; it is tried until then. ctx bounds the start alone.
// The program must end at SIGTERM.
func StartProgram(ctx context.Context, cmd *exec.Cmd, ready func(context.Context) error) (*Program, error) {
	p := new(Program)
	var err error
	if p.process, err = startProcess(cmd, &p.output); err != nil {
		return nil, err
	}
	if err := poll(ctx, p.process, ready); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w; its output:\n%s", cmd.Path, err, p.Output()), p.Stop())
	}
	return p, nil
}

// Output is what the program has printed to stdout and stderr.
func (p *Program) Output() string { return p.output.String() }

// Stop ends the program and everything that it has started.
func (p *Program) Stop() error { return p.process.stop(syscall.SIGTERM, 30*time.Second) }
