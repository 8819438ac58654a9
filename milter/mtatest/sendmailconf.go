package mtatest

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// The configurations are m4's input, with numbered fmt verbs to fill in; each says what they are.
var (
	//go:embed mc/common.mc
	commonMC string
	//go:embed mc/sendmail.mc
	serverMC string
	//go:embed mc/submit.mc
	submitMC string
)

// submitUser owns the queue of the sendmail command, which refuses to be root.
const submitUser = "nobody"

// configure makes the instance's folders and the configurations of the server and of the sendmail command.
func (s *Sendmail) configure(ctx context.Context, o Options) error {
	if err := errors.Join(s.makeDir(), s.choosePorts()); err != nil {
		return err
	}
	if err := errors.Join(s.makeFolders(0o700, "queue", "submit-queue"), giveTo(submitUser, s.file("submit-queue"))); err != nil {
		return err
	}
	for name, text := range map[string]string{"switch": "hosts files\n", "hosts": "127.0.0.1 localhost\n", "aliases": "", "statistics": ""} {
		if err := os.WriteFile(s.file(name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	sinkHost, sinkPort, err := net.SplitHostPort(o.Sink)
	if err != nil {
		return fmt.Errorf("Options.Sink must be host:port: %w", err)
	}
	filters, err := inputMailFilters(o)
	if err != nil {
		return err
	}
	extra := filters + strings.Join(o.ExtraMain, "\n")
	return errors.Join(
		s.compile(ctx, "sendmail", fmt.Sprintf(serverMC, s.dir, port(s.remote), port(s.local), sinkHost, sinkPort, extra)),
		s.compile(ctx, "submit", fmt.Sprintf(submitMC, s.dir, port(s.local), submitUser)),
	)
}

func port(addr string) string { return addr[strings.LastIndexByte(addr, ':')+1:] }

// compile writes NAME.mc and makes NAME.cf of it.
func (s *Sendmail) compile(ctx context.Context, name, text string) error {
	m4, err := program("m4", "m4")
	if err != nil {
		return err
	}
	cf := filepath.Join(s.tree, "usr/share/sendmail/cf")
	mc := s.file(name + ".mc")
	if err := os.WriteFile(mc, []byte(fmt.Sprintf(commonMC, s.dir, cf)+text), 0o600); err != nil {
		return err
	}
	out, err := exec.CommandContext(ctx, m4, "-D_CF_DIR_="+cf+"/", mc).Output()
	if err != nil {
		return fmt.Errorf("m4 %s: %w", mc, err)
	}
	return os.WriteFile(s.file(name+".cf"), out, 0o600)
}

// filterFlags are the letters for Options.MilterDefaultAction; without one, mail passes a filter that is down.
var filterFlags = map[string]string{"tempfail": "F=T, ", "reject": "F=R, ", "accept": ""}

// inputMailFilters writes the lines by which Sendmail asks the filters.
func inputMailFilters(o Options) (string, error) {
	flag, ok := filterFlags[cmp.Or(o.MilterDefaultAction, "tempfail")]
	if !ok {
		return "", fmt.Errorf("Options.MilterDefaultAction %q: write tempfail, accept or reject", o.MilterDefaultAction)
	}
	var lines strings.Builder
	for i, addr := range o.Milters {
		socket := addr // unix:/path is written alike
		if host, ok := strings.CutPrefix(addr, "inet:"); ok {
			host, port, err := net.SplitHostPort(host)
			if err != nil {
				return "", fmt.Errorf("Options.Milters: %w", err)
			}
			socket = "inet:" + port + "@" + host
		}
		fmt.Fprintf(&lines, "INPUT_MAIL_FILTER(`filter%d', `S=%s, %sT=S:10s;R:20s;E:30s')dnl\n", i+1, socket, flag)
	}
	return lines.String(), nil
}
