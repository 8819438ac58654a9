package setup

import (
	"crypto/tls"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"permalink-milter/config"
	"permalink-milter/registry"
	"permalink-milter/registry/boltreg"
	"permalink-milter/registry/memreg"
	"permalink-milter/registry/redisreg"
)

// OpenStore opens the store that a registry's URL names. The configuration says
// how to log in to Redis, to which OpenStore does not connect yet. A relative
// bolt file is in the current directory; see config.InStateDir. It is created,
// with its directory, only if create is set. The error wraps boltreg.ErrInUse
// while another process holds the file.
func OpenStore(url string, c config.Registry, timeout time.Duration, create bool) (registry.Store, error) {
	kind, err := config.StoreKind(url)
	if err != nil {
		return nil, err
	}
	switch kind {
	case config.Bolt:
		return openBolt(strings.TrimPrefix(url, "bolt:"), create)
	case config.Memory:
		return memreg.New(), nil
	}
	return openRedis(url, c, timeout)
}

// CheckStore adds what keeps OpenStore from opening a registry in Redis: its
// URL, and the files of its password and certificates. It connects to nothing.
func CheckStore(problems *config.Problems, c config.Registry) {
	if kind, err := config.StoreKind(c.URL); err != nil || kind != config.Redis {
		return // config has checked the other kinds
	}
	problems.Add("registry.url", redisreg.CheckURL(c.URL))
	_, err := redisreg.ReadPassword(c.PasswordFile)
	problems.Add("registry.password_file", err)
	if c.TLSCA != "" {
		_, err = redisreg.ReadCAs(c.TLSCA)
		problems.Add("registry.tls_ca", err)
	}
	if c.TLSCert != "" && c.TLSKey != "" {
		_, err = tls.LoadX509KeyPair(c.TLSCert, c.TLSKey)
		problems.Add("registry.tls_cert", err)
	}
}

func openBolt(file string, create bool) (registry.Store, error) {
	if _, err := os.Stat(file); err != nil && !create {
		return nil, fmt.Errorf("bolt:%s: %w", file, err)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
		return nil, fmt.Errorf("bolt:%s: %w", file, err)
	}
	return boltreg.Open(file)
}

func openRedis(url string, c config.Registry, timeout time.Duration) (registry.Store, error) {
	password, err := redisreg.ReadPassword(c.PasswordFile)
	if err != nil {
		return nil, fmt.Errorf("registry.password_file: %w", err)
	}
	return redisreg.Open(redisreg.Options{URL: url, Username: c.Username, Password: password,
		TLSCA: c.TLSCA, TLSCert: c.TLSCert, TLSKey: c.TLSKey, KeyPrefix: c.KeyPrefix, Timeout: timeout, MinReplicas: c.MinReplicas})
}
