package main

import (
	"strings"
	"time"

	systemd "github.com/coreos/go-systemd/v22/daemon"
)

// sdAlive is the state that systemd's watchdog waits for.
const sdAlive = systemd.SdNotifyWatchdog

// notify sends states to systemd, if it started the daemon (sd_notify(3)).
func (d *daemon) notify(lines ...string) {
	if _, err := systemd.SdNotify(false, strings.Join(lines, "\n")); err != nil {
		d.log.Warn("cannot notify systemd of the daemon's state", "error", err)
	}
}

func (d *daemon) notifyReady() {
	var at []string
	for _, s := range d.services {
		for _, ln := range s.listeners {
			at = append(at, s.name+" on "+ln.Addr().String())
		}
	}
	d.notify(systemd.SdNotifyReady, "STATUS=serving "+strings.Join(at, ", "))
}

func (d *daemon) notifyReloading() {
	d.notify(systemd.SdNotifyReloading, strings.TrimSpace(systemd.SdNotifyMonotonicUsec()), "STATUS=reading the configuration again")
}

func (d *daemon) notifyStopping() {
	d.notify(systemd.SdNotifyStopping, "STATUS=waiting for work in progress")
}

// watchdog returns a ticker with half the interval of systemd's watchdog
// (sd_watchdog_enabled(3)). Without a watchdog it never ticks.
func (d *daemon) watchdog() (alive <-chan time.Time, stop func()) {
	interval, err := systemd.SdWatchdogEnabled(false)
	if err != nil {
		d.log.Warn("cannot serve systemd's watchdog", "error", err)
	}
	if err != nil || interval <= 0 {
		return nil, func() {}
	}
	t := time.NewTicker(interval / 2)
	return t.C, t.Stop
}
