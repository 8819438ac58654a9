package mailmantest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"permalink-milter/milter/mtatest"
)

// The list of a Site, and its two members.
const (
	List   = "devel@" + Domain
	Author = "alice@example.org"
	Reader = "bob@example.net"
)

// Site is a whole mail system for lists: a Postfix with our milter that hands the lists' mail to Mailman by LMTP,
// takes it back from there, and delivers to a sink; and HyperKitty. The milter sees each message twice: before Mailman
// and behind it.
type Site struct {
	Dir     string
	Daemon  *mtatest.Daemon
	Sink    *mtatest.Sink
	Postfix *mtatest.Postfix
	Mailman *Mailman
}

// SiteOptions change a Site. The zero value is a Site without the plugin.
type SiteOptions struct {
	// Daemon is added to the daemon's configuration.
	Daemon string
	// Mailman is added to mailman.cfg.
	Mailman string
	// Plugin is the configuration of the archiver plugin; "{template}" in it stands for HyperKitty's template. Empty:
	// Mailman runs without the plugin.
	Plugin string
}

const daemonConfig = `state_dir = %q
[milter]
listen = [%q]
[header]
emit = ["Message-ID-MD5", "Message-ID-Hash"]
[[archive]]
name = "hyperkitty"
lists = ["*@` + Domain + `"]
url = %q
`

const pluginConfig = `[archiver.permalink]
class: permalink_milter_archiver.archiver.Archiver
enable: yes
configuration: %[1]s
clobber_date: never
[plugin.permalink_milter_archiver]
class: permalink_milter_archiver.plugin.Plugin
enabled: yes
`

// StartSite makes a Site in dir, an existing folder that every user may pass, with one list and its members. ctx
// bounds the start. Nothing is left running after an error.
func StartSite(ctx context.Context, dir string, o SiteOptions) (*Site, error) {
	s := &Site{Dir: dir}
	if err := s.start(ctx, o); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

func (s *Site) start(ctx context.Context, o SiteOptions) (err error) {
	var milter, lmtp, web string
	if err := freeAddrs(&milter, &lmtp, &web); err != nil {
		return err
	}
	template := base(web) + "list/{list}/message/{sha1}/"
	if err := s.startDaemon(ctx, "inet:"+milter, template, o.Daemon); err != nil {
		return err
	}
	if s.Sink, err = mtatest.StartSink(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	host, port, _ := net.SplitHostPort(lmtp)
	s.Postfix, err = mtatest.StartPostfix(ctx, mtatest.Options{Dir: filepath.Join(s.Dir, "postfix"), Milters: []string{"inet:" + milter}, Sink: s.Sink.Addr(),
		ExtraMain: []string{fmt.Sprintf("transport_maps = inline:{ {%s=lmtp:[%s]:%s} }", Domain, host, port)}})
	if err != nil {
		return err
	}
	o.Plugin = strings.ReplaceAll(o.Plugin, "{template}", template)
	if err := s.startMailman(ctx, lmtp, web, o); err != nil {
		return err
	}
	return s.makeList(ctx)
}

func (s *Site) startDaemon(ctx context.Context, milter, template, more string) error {
	bin, err := mtatest.BuildDaemon(ctx, s.Dir)
	if err != nil {
		return err
	}
	s.Daemon, err = mtatest.StartDaemon(ctx, bin, s.Dir, fmt.Sprintf(daemonConfig, filepath.Join(s.Dir, "state"), milter, template)+more, milter)
	return err
}

func (s *Site) startMailman(ctx context.Context, lmtp, web string, o SiteOptions) error {
	dir := filepath.Join(s.Dir, "mailman")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	module, err := moduleDir(ctx)
	if err != nil {
		return err
	}
	config := o.Mailman
	if o.Plugin != "" {
		file := filepath.Join(dir, "permalink.cfg")
		if err := os.WriteFile(file, []byte(o.Plugin), 0o600); err != nil {
			return err
		}
		config += fmt.Sprintf(pluginConfig, file)
	}
	s.Mailman, err = Start(ctx, Options{Dir: dir, SMTP: s.Postfix.Local(), LMTP: lmtp, Web: web, Config: config,
		PythonPath: []string{filepath.Join(module, "registry", "mailman")}})
	return err
}

// moduleDir is the root of this module, in which the working directory must lie.
func moduleDir(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return "", fmt.Errorf("find this module's folder: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

func (s *Site) makeList(ctx context.Context) error {
	if err := s.Mailman.CreateList(ctx, List); err != nil {
		return err
	}
	for _, member := range []string{Author, Reader} {
		if err := s.Mailman.Subscribe(ctx, List, member); err != nil {
			return err
		}
	}
	return nil
}

// Post sends a message to the list as its author does, over SMTP.
func (s *Site) Post(ctx context.Context, data string) error {
	return mtatest.Send(ctx, s.Postfix.Remote(), mtatest.Mail{From: Author, To: []string{List}, Data: []byte(data)})
}

// Log is what all parts have logged.
func (s *Site) Log() string {
	var b strings.Builder
	if s.Daemon != nil {
		b.WriteString("daemon:\n" + s.Daemon.Stderr())
	}
	if s.Postfix != nil {
		b.WriteString("Postfix:\n" + s.Postfix.Log())
	}
	if s.Mailman != nil {
		b.WriteString(s.Mailman.Log())
	}
	return b.String()
}

// Stop ends all parts.
func (s *Site) Stop() (err error) {
	if s.Mailman != nil {
		err = errors.Join(err, s.Mailman.Stop())
	}
	if s.Postfix != nil {
		err = errors.Join(err, s.Postfix.Stop())
	}
	if s.Daemon != nil {
		err = errors.Join(err, s.Daemon.Stop())
	}
	if s.Sink != nil {
		s.Sink.Stop()
	}
	return err
}
