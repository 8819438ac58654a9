# Loads a command once and runs it in a fork for each connection to the socket that it inherits: forks.pl COMMAND.
use strict;
use warnings;
use Cwd qw(abs_path);
use IO::Socket::UNIX;

my $listener = IO::Socket::UNIX->new_from_fd(3, 'r+');
my $command = abs_path(shift);
do $command; # loads what it needs, and sees an empty message
while (my $connection = $listener->accept) {
	unless (fork) {
		open STDIN, '<&', $connection or die $!;
		open STDOUT, '>&', $connection or die $!;
		do $command;
		die $@ if $@;
		exit;
	}
	close $connection;
	wait;
}
