package milter

import "time"

// SetWaits shortens how long the server waits for an MTA to negotiate, and to read a reply.
func (s *Server) SetWaits(negotiation, write time.Duration) {
	s.negotiationWait, s.writeWait = negotiation, write
}

// SetMinIdle shortens how long a connection is idle before it gives way.
func (s *Server) SetMinIdle(d time.Duration) { s.minIdle = d }

// SetMinSilent shortens how long a client is silent in a message before it gives way.
func (s *Server) SetMinSilent(d time.Duration) { s.minSilent = d }
