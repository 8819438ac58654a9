// Package lmtp lets a sender and an archive agree on a permalink over plain
// LMTP (RFC 2033): the recipient is the permalink's variable part at the
// archive's host, and a permalink that another message holds is refused as a
// mailbox name that cannot be had. The package holds the server, which
// delivers to a Maildir or to a next hop, and a client. It may not decide who
// holds a token: the registry does.
//
// # Recipients
//
//	token@archive-host
//	token+listname@archive-host       one of several lists of that host
//	token=claim@archive-host          with the first 8 to 32 hexadecimal
//	token=claim+listname@archive-host digits of the message's identity
//
// The token is HASH, or HASH-2, HASH-3, … after a collision; its length tells
// the algorithm. The local part is the archive's to give meaning to (RFC 5321,
// section 2.3.11), so the claim needs no extension of the protocol: whoever
// computes the hash of a message can compute its identity too. A claim only
// makes the reply to RCPT exact. What counts is the message itself.
//
// # Replies to RCPT
//
// Before DATA the server knows the envelope alone. RCPT reads the registry
// and changes nothing there, so a transaction that ends early leaves nothing
// behind.
//
//	250 2.0.0  the token is the next free one; or it is reserved and not yet
//	           archived, as a milter reserves it before the archive sees the
//	           message; or it is archived and the sender is the one that
//	           archived it, so that this may be a retransmission
//	553 5.1.0  Permalink already occupied, try <token@archive-host>: another
//	           message holds the token. The address is a recipient to use as
//	           it stands, in this transaction or another. Also where the claim
//	           holds another token (try that one), and for a token that is
//	           not in use while a lower one is free
//	550 5.1.1  no permalink in the local part, or no such list here
//	550 5.1.2  the archive's host is not this one
//	452 4.5.3  too many recipients (RFC 5321, section 4.5.3.1.10)
//	451 4.3.0  the registry does not answer
//	421 4.7.0  too many refused recipients; the connection is closed
//	503 5.5.1  (to MAIL) a transaction is open
//
// "The sender is the one that archived it" means: the claim is that of the
// archived message; without a claim, the reverse-path is that of a transaction
// that archived the message or was told that it is archived. The server
// remembers the reverse-paths of the last few thousand messages, and after a
// crash knows which messages of a Maildir may lack their reply, whoever sends
// them. So an MTA that lost the reply to DATA, and knows nothing of all this,
// is not told to bounce a message that is archived. If the sender has another
// message after all, it learns that at the end of DATA. If it is refused
// though the message is its own, it takes the new token, and learns the old
// one at the end of DATA. A sender that wants the exact answer before DATA
// makes a claim.
//
// # Replies to DATA, one for each recipient (RFC 2033, section 4.2)
//
//	250 2.1.5  Archived as <token@archive-host> URL: delivered, and confirmed
//	           in the registry
//	250 2.1.5  Already archived as <token@archive-host> URL: a retransmission;
//	           not delivered again, whatever token the recipient named
//	553 5.1.0  as for RCPT: the token is not this message's, the one in the
//	           text is. Nothing is reserved for a message that is refused
//	554 5.6.0  the message has another hash, or no Message-ID, or its header
//	           section is over 1 MiB
//	552 5.3.4  the message is over the limit (RFC 1870)
//	451 4.3.0  the registry or the Maildir does not answer
//	451 4.3.2  the message did not come whole before the time-out
//	452 4.3.1  no room on the disk
//	451 4.4.1  the next hop does not answer
//	4xx, 5xx   what the next hop said about this recipient; 550 for its 551
//	           and 553
//
// The server never answers 551: a token is no forwarding address.
//
// # Why this is safe
//
// A message counts as archived when the registry says so. So a list may have
// one archive that confirms, this server or one that uses the API: with two,
// the second would take the first one's message for its own.
//
// The archive keeps a message under the token that the sender named, or not
// at all; so the sender, the archived page and the registry agree. The order
// at the end of DATA is: reserve, deliver, confirm, reply. Each step may be
// repeated. A Maildir gets each message once, wherever the server or the
// machine stops, see [ParseDelivery]. A next hop may get one twice if the
// server stops between the next hop's 250 and the confirmation, which no
// relay can exclude (RFC 1047).
//
// # Example
//
// Bob's message has the hash of Alice's, which is archived:
//
//	S: 220 archive.example.org LMTP Service Ready
//	C: LHLO lists.example.org
//	S: 250-Hello lists.example.org
//	S: 250-PIPELINING
//	S: 250-8BITMIME
//	S: 250-ENHANCEDSTATUSCODES
//	S: 250-CHUNKING
//	S: 250-SMTPUTF8
//	S: 250-SIZE 67108864
//	S: 250 LIMITS RCPTMAX=100
//	C: MAIL FROM:<bob@example.net>
//	S: 250 2.0.0 Roger, accepting mail from <bob@example.net>
//	C: RCPT TO:<7KWUTBTOSSMPYFYZ6UUJ46QCNE@archive.example.org>
//	S: 553 5.1.0 Permalink already occupied, try <7KWUTBTOSSMPYFYZ6UUJ46QCNE-2@archive.example.org>
//	C: RCPT TO:<7KWUTBTOSSMPYFYZ6UUJ46QCNE-2@archive.example.org>
//	S: 250 2.0.0 I'll make sure <7KWUTBTOSSMPYFYZ6UUJ46QCNE-2@archive.example.org> gets this
//	C: DATA
//	S: 354 Go ahead. End your data with <CR><LF>.<CR><LF>
//	C: (the message)
//	C: .
//	S: 250 2.1.5 <7KWUTBTOSSMPYFYZ6UUJ46QCNE-2@archive.example.org> Archived as <7KWUTBTOSSMPYFYZ6UUJ46QCNE-2@archive.example.org> https://lists.example.org/7KWUTBTOSSMPYFYZ6UUJ46QCNE-2
//	C: QUIT
//	S: 221 2.0.0 Bye
package lmtp
