package redisreg

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

const defaultTimeout = 500 * time.Millisecond

// Open returns the store that the options name. It does not connect yet, so that
// a mail host starts while Redis is down. Check connects.
func Open(o Options) (*Store, error) {
	client, err := o.clientOptions()
	if err != nil {
		return nil, err
	}
	password := new(atomic.Pointer[string])
	password.Store(&client.Password)
	user := client.Username
	client.CredentialsProvider = func() (string, string) { return user, *password.Load() }
	s := &Store{
		password:    password,
		urlPassword: urlPassword(o.URL),
		client:      redis.NewUniversalClient(client),
		prefix:      o.prefix(),
		timeout:     cmp.Or(o.Timeout, defaultTimeout),
		minReplicas: o.MinReplicas,
	}
	switch c := s.client.(type) {
	case *redis.ClusterClient:
		c.OnNewNode(func(node *redis.Client) { node.AddHook(waitHook{node}) })
	case *redis.Client:
		c.AddHook(waitHook{c})
		if s.minReplicas == 0 {
			s.pipelines = newPipelines(c, s.timeout)
		}
	}
	return s, nil
}

// SetPassword makes the connections that are opened from now on log in with a
// password. Those that are open stay so. An empty one means that of the URL.
func (s *Store) SetPassword(password string) {
	password = cmp.Or(password, s.urlPassword)
	s.password.Store(&password)
}

func urlPassword(url string) string {
	c, _, _ := parseURL(url) // Open has parsed it
	return c.Password
}

func (o Options) prefix() string { return cmp.Or(o.KeyPrefix, defaultPrefix) }

func (o Options) clientOptions() (*redis.UniversalOptions, error) {
	c, useTLS, err := parseURL(o.URL)
	if err != nil {
		return nil, fmt.Errorf("registry.url: %w", err)
	}
	if strings.ContainsAny(o.prefix(), "{}") {
		return nil, errors.New("registry.key_prefix: braces would put all keys into one hash slot; leave them out")
	}
	if c.TLSConfig, err = o.tlsConfig(useTLS); err != nil {
		return nil, err
	}
	c.Username, c.Password = cmp.Or(o.Username, c.Username), cmp.Or(o.Password, c.Password)
	// The budget of a message is short: it allows one retry, on another
	// connection.
	c.MaxRetries, c.DialerRetries = 1, 1
	c.MinRetryBackoff, c.MaxRetryBackoff = 5*time.Millisecond, 100*time.Millisecond
	c.ContextTimeoutEnabled = true
	timeout := cmp.Or(o.Timeout, defaultTimeout)
	c.DialTimeout, c.PoolTimeout = timeout, timeout
	c.ReadTimeout, c.WriteTimeout = max(timeout, scanTimeout), timeout
	c.PipelinePoolSize = maxPipelines
	// Room for maxSwaps requests and their answers. The default is 128 KiB each.
	c.PipelineWriteBufferSize, c.PipelineReadBufferSize = 16<<10, 16<<10
	c.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	// CLIENT SETINFO needs a permission that an ACL user may lack.
	c.DisableIdentity = true
	return &c, nil
}

// tlsConfig returns nil without TLS.
func (o Options) tlsConfig(useTLS bool) (*tls.Config, error) {
	if !useTLS {
		if o.TLSCA+o.TLSCert+o.TLSKey != "" {
			return nil, errors.New("registry.tls_ca, tls_cert, tls_key: without effect unless registry.url begins with rediss")
		}
		return nil, nil
	}
	c := &tls.Config{}
	if o.TLSCA != "" {
		pem, err := os.ReadFile(o.TLSCA)
		if err != nil {
			return nil, fmt.Errorf("registry.tls_ca: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("registry.tls_ca: %s holds no PEM certificate", o.TLSCA)
		}
	}
	if o.TLSCert+o.TLSKey == "" {
		return c, nil
	}
	load := func() (*tls.Certificate, error) {
		pair, err := tls.LoadX509KeyPair(o.TLSCert, o.TLSKey)
		if err != nil {
			return nil, fmt.Errorf("registry.tls_cert, tls_key: %w", err)
		}
		return &pair, nil
	}
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return load() }
	_, err := load()
	return c, err
}

// PasswordVariable is the environment variable that may hold the password.
const PasswordVariable = "PERMALINK_REDIS_PASSWORD"

// ReadPassword returns the first line of a file or, without a file name, the
// value of PasswordVariable.
func ReadPassword(file string) (string, error) {
	if file == "" {
		return os.Getenv(PasswordVariable), nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("registry.password_file: %w", err)
	}
	password, _, _ := strings.Cut(string(text), "\n")
	if password = strings.TrimSuffix(password, "\r"); password == "" {
		return "", fmt.Errorf("registry.password_file: the first line of %s is empty", file)
	}
	return password, nil
}

// LogTo sends the messages of the client library to log at level debug: a line
// for each connection that fails and for each new primary. The library has one
// logger per process and otherwise prints to standard error, so call LogTo once,
// before Open.
func LogTo(log *slog.Logger) { redis.SetLogger(clientLog{log}) }

type clientLog struct{ log *slog.Logger }

func (l clientLog) Printf(ctx context.Context, format string, v ...any) {
	l.log.DebugContext(ctx, "redis client: "+fmt.Sprintf(format, v...))
}
