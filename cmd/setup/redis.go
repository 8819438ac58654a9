package setup

import (
	"fmt"
	"time"

	"permalink-milter/config"
	"permalink-milter/registry/redisreg"
)

// Redis makes the client of the server, the Sentinels or the Cluster that a
// URL names; the configuration tells how to log in. It connects to nothing
// yet.
func Redis(url string, c config.Registry, timeout time.Duration) (*redisreg.Store, error) {
	password, err := redisreg.ReadPassword(c.PasswordFile)
	if err != nil {
		return nil, fmt.Errorf("password_file: %w", err)
	}
	return redisreg.Open(redisreg.Options{URL: url, Username: c.Username, Password: password,
		TLSCA: c.TLSCA, TLSCert: c.TLSCert, TLSKey: c.TLSKey, KeyPrefix: c.KeyPrefix, Timeout: timeout, MinReplicas: c.MinReplicas})
}
