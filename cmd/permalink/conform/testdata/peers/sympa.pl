# The id that Sympa takes from a message, as a command that permalink conform hash can test. Before 6.2.72 Sympa digests
# nothing: its URLs have the id.
use strict;
use warnings;
use PrintID;
use Sympa::Message;

$Conf::Conf{sender_headers} = ''; # it looks for a sender, too
my $message = Sympa::Message->new(do { local $/; <STDIN> });
print_id($message->{message_id}) if $message;
