package setup

import (
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

// CheckStore returns an error for a registry that OpenStore cannot open by its
// URL or for want of a password or certificate file. It opens no bolt file and
// connects to nothing.
func CheckStore(c config.Registry) error {
	kind, err := config.StoreKind(c.URL)
	if err != nil || kind != config.Redis {
		return err
	}
	store, err := openRedis(c.URL, c, time.Duration(c.Timeout))
	if err != nil {
		return err
	}
	return store.Close()
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
		return nil, err
	}
	return redisreg.Open(redisreg.Options{URL: url, Username: c.Username, Password: password,
		TLSCA: c.TLSCA, TLSCert: c.TLSCert, TLSKey: c.TLSKey, KeyPrefix: c.KeyPrefix, Timeout: timeout, MinReplicas: c.MinReplicas})
}
