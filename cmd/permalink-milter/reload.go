package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"permalink-milter/config"
	"permalink-milter/registry/redisreg"
)

// A certificate is the one that a server shows. It can be replaced while the
// server runs.
type certificate struct {
	pair atomic.Pointer[tls.Certificate]
}

// load reads the files. After an error the old certificate stays.
func (c *certificate) load(cert, key string) error {
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return fmt.Errorf("http.tls_cert, tls_key: %w", err)
	}
	c.pair.Store(&pair)
	return nil
}

// config returns the settings of a server with this certificate.
func (c *certificate) config() *tls.Config {
	return &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.pair.Load(), nil }}
}

// reloadPassword gives Redis the password of the file as it is now, for the
// connections that are opened from now on.
func (d *daemon) reloadPassword(c *config.Config) {
	if d.redis == nil {
		return
	}
	password, err := redisreg.ReadPassword(c.Registry.PasswordFile)
	if err != nil {
		d.log.Error("password not reloaded, the old one stays in force", "error", err)
		return
	}
	d.redis.SetPassword(password)
}

// restart returns the keys that only a restart of the daemon changes. TLS can be
// reloaded, but not turned on or off.
func (d *daemon) restart(c *config.Config) []string {
	keys := config.Restart(d.config, c)
	if d.config.HTTP.Listen != "" && (d.config.HTTP.TLSCert == "") != (c.HTTP.TLSCert == "") {
		keys = append(keys, "http.tls_cert")
	}
	return keys
}

// evictionEvery is how often Redis is asked for its eviction policy.
const evictionEvery = 10 * time.Second

// watchEviction notices that Redis was told to throw keys away, which the daemon
// refuses at its start.
func (d *daemon) watchEviction(ctx context.Context) {
	if d.redis == nil {
		return
	}
	t := time.NewTicker(evictionEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			d.checkEviction(ctx)
		}
	}
}

func (d *daemon) checkEviction(ctx context.Context) {
	err := d.redis.CheckEviction(ctx)
	was := d.evicts.Load()
	switch {
	case errors.Is(err, redisreg.ErrEvicts):
		text := err.Error()
		d.evicts.Store(&text)
		d.metrics.evicts.Set(1)
		if was == nil {
			d.log.Warn("Redis may now throw reservations away; set its maxmemory-policy back", "error", err)
		}
	case err == nil && was != nil:
		d.evicts.Store(nil)
		d.metrics.evicts.Set(0)
		d.log.Info("Redis keeps reservations again")
	}
}
