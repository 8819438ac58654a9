# The id that MHonArc takes from a message, as a command that permalink conform hash can test.
use strict;
use warnings;
use PrintID;

require 'mhamain.pl';
no warnings 'once'; # MHonArc has the other use of the name
$mhonarc::CBMessageHeadRead = sub {
	my ($fields) = @_;
	my $id = $fields->{'x-mha-message-id'};
	print_id($id) unless $id =~ /\@NO-ID-FOUND\.mhonarc\.org$/; # made up
	exit;
};
@ARGV = qw(-single -quiet);
mhonarc::initialize();
mhonarc::process_input();
