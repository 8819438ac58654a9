package redisreg

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Open returns the store that the options name. It does not connect yet, so that
// a mail host starts while Redis is down. Check connects.
func Open(o Options) (*Store, error) {
	client, err := o.clientOptions()
	if err != nil {
		return nil, err
	}
	s := &Store{urlPassword: urlPassword(o.URL), prefix: o.KeyPrefix, timeout: o.Timeout, minReplicas: o.MinReplicas}
	s.password.Store(&client.Password)
	user := client.Username
	client.CredentialsProvider = func() (string, string) { return user, *s.password.Load() }
	s.client = redis.NewUniversalClient(client)
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

func (o Options) clientOptions() (*redis.UniversalOptions, error) {
	c, useTLS, err := parseURL(o.URL)
	if err != nil {
		return nil, fmt.Errorf("URL of Redis: %w", err)
	}
	if useTLS {
		if c.TLSConfig, err = o.tlsConfig(); err != nil {
			return nil, err
		}
	}
	c.Username, c.Password = cmp.Or(o.Username, c.Username), cmp.Or(o.Password, c.Password)
	c.Dialer = o.dial
	// The budget of a message is short: it allows one retry, on another
	// connection.
	c.MaxRetries, c.DialerRetries = 1, 1
	c.MinRetryBackoff, c.MaxRetryBackoff = 5*time.Millisecond, 100*time.Millisecond
	c.ContextTimeoutEnabled = true
	c.DialTimeout, c.PoolTimeout = o.Timeout, o.Timeout
	c.ReadTimeout, c.WriteTimeout = max(o.Timeout, scanTimeout), o.Timeout
	c.PipelinePoolSize = maxPipelines
	// Room for maxSwaps requests and their answers. The default is 128 KiB each.
	c.PipelineWriteBufferSize, c.PipelineReadBufferSize = 16<<10, 16<<10
	c.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	// CLIENT SETINFO needs a permission that an ACL user may lack.
	c.DisableIdentity = true
	return &c, nil
}

func (o Options) tlsConfig() (c *tls.Config, err error) {
	c = &tls.Config{}
	if o.TLSCA != "" {
		if c.RootCAs, err = ReadCAs(o.TLSCA); err != nil {
			return nil, fmt.Errorf("CA certificates for Redis: %w", err)
		}
	}
	if o.TLSCert+o.TLSKey == "" {
		return c, nil
	}
	load := func() (*tls.Certificate, error) {
		pair, err := tls.LoadX509KeyPair(o.TLSCert, o.TLSKey)
		if err != nil {
			return nil, fmt.Errorf("client certificate for Redis: %w", err)
		}
		return &pair, nil
	}
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return load() }
	_, err = load()
	return c, err
}

// ReadCAs reads a PEM file of certificates.
func ReadCAs(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no PEM certificate", file)
	}
	return pool, nil
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
		return "", err
	}
	password, _, _ := strings.Cut(string(text), "\n")
	if password = strings.TrimSuffix(password, "\r"); password == "" {
		return "", fmt.Errorf("the first line of %s is empty", file)
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
