package httpapi

import (
	"log/slog"
	"net/http"
	"time"
)

// The time limits of a connection. A client that is slower is cut off.
const (
	headerTimeout = 5 * time.Second  // for the header of a request
	readTimeout   = 30 * time.Second // for all of it
	writeTimeout  = 90 * time.Second // from its header to the end of the answer
	idleTimeout   = 2 * time.Minute  // between requests
	maxHeaderSize = 16 << 10         // bytes of a request's header; net/http adds 4 KiB
)

// NewServer returns a server for a handler with limits on time and size set.
// The caller serves its listeners (plain or TLS) and shuts it down.
func NewServer(handler http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderSize,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}
