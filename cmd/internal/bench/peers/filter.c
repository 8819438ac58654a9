/*
 * A filter on libmilter that does what permalink-milter does for a message of
 * no list: hash the first Message-ID with MD5, delete the hash fields that are
 * there, insert Message-ID-MD5. With -n it does nothing but continue.
 * usage: filter [-n] SOCKET
 */
#include <ctype.h>
#include <libmilter/mfapi.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define NO_REPLIES (SMFIP_NR_MAIL | SMFIP_NR_HDR)

static int null_filter;
static EVP_MD *md5; /* fetched once: looking it up costs more than the digest */

/* A message in progress. */
struct message {
	char *id; /* the canonical Message-ID */
	int seen; /* its field was there */
	int md5, legacy; /* how many fields of each name */
};

static char md5_name[] = "Message-ID-MD5";
static char legacy_name[] = "X-Message-ID-Hash";

static void forget(struct message *m)
{
	free(m->id);
	memset(m, 0, sizeof *m);
}

static struct message *message_of(SMFICTX *ctx)
{
	struct message *m = smfi_getpriv(ctx);

	if (m == NULL) {
		m = calloc(1, sizeof *m);
		smfi_setpriv(ctx, m);
	}
	return m;
}

static sfsistat on_mail(SMFICTX *ctx, char **argv)
{
	(void)argv;
	if (!null_filter)
		forget(message_of(ctx));
	return SMFIS_NOREPLY;
}

/* Deletes white space, then one pair of angle brackets. */
static char *canonical(const char *value)
{
	char *id = malloc(strlen(value) + 1), *end = id;

	for (; *value; value++)
		if (!strchr(" \t\r\n", *value))
			*end++ = *value;
	*end = '\0';
	if (end - id >= 2 && id[0] == '<' && end[-1] == '>') {
		end[-1] = '\0';
		memmove(id, id + 1, end - id - 1);
	}
	return id;
}

static sfsistat on_header(SMFICTX *ctx, char *name, char *value)
{
	struct message *m;

	if (null_filter)
		return SMFIS_NOREPLY;
	m = message_of(ctx);
	if (strcasecmp(name, "Message-ID") == 0 && !m->seen) {
		m->seen = 1;
		m->id = canonical(value);
	} else if (strcasecmp(name, md5_name) == 0) {
		m->md5++;
	} else if (strcasecmp(name, legacy_name) == 0) {
		m->legacy++;
	}
	return SMFIS_NOREPLY;
}

static void base32(const unsigned char *in, size_t n, char *out)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
	unsigned int bits = 0, have = 0;

	for (size_t i = 0; i < n; i++) {
		bits = bits << 8 | in[i];
		for (have += 8; have >= 5; have -= 5)
			*out++ = alphabet[bits >> (have - 5) & 31];
	}
	if (have > 0)
		*out++ = alphabet[bits << (5 - have) & 31];
	*out = '\0';
}

static sfsistat on_eom(SMFICTX *ctx)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	char hash[64];
	unsigned int n;
	struct message *m;

	if (null_filter)
		return SMFIS_CONTINUE;
	m = message_of(ctx);
	for (; m->md5 > 0; m->md5--)
		smfi_chgheader(ctx, md5_name, m->md5, NULL);
	for (; m->legacy > 0; m->legacy--)
		smfi_chgheader(ctx, legacy_name, m->legacy, NULL);
	if (m->id != NULL && m->id[0] != '\0') {
		EVP_Digest(m->id, strlen(m->id), digest, &n, md5, NULL);
		base32(digest, n, hash);
		smfi_addheader(ctx, md5_name, hash);
	}
	forget(m);
	return SMFIS_CONTINUE;
}

static sfsistat on_close(SMFICTX *ctx)
{
	struct message *m = smfi_getpriv(ctx);

	if (m != NULL) {
		forget(m);
		free(m);
		smfi_setpriv(ctx, NULL);
	}
	return SMFIS_CONTINUE;
}

/*
 * Asks for no more than is needed, and for no replies to MAIL and fields.
 * libmilter logs an error for each callback that agreed to that and then
 * returns anything but SMFIS_NOREPLY.
 */
static sfsistat on_negotiate(SMFICTX *ctx, unsigned long f0, unsigned long f1, unsigned long f2, unsigned long f3,
			     unsigned long *pf0, unsigned long *pf1, unsigned long *pf2, unsigned long *pf3)
{
	(void)ctx, (void)f0, (void)f2, (void)f3;
	if ((f1 & NO_REPLIES) != NO_REPLIES)
		return SMFIS_REJECT;
	*pf0 = null_filter ? 0 : SMFIF_ADDHDRS | SMFIF_CHGHDRS;
	*pf1 = f1 & (SMFIP_NOCONNECT | SMFIP_NOHELO | SMFIP_NORCPT | SMFIP_NODATA | SMFIP_NOEOH | SMFIP_NOBODY | SMFIP_NOUNKNOWN | NO_REPLIES);
	*pf2 = *pf3 = 0;
	return SMFIS_CONTINUE;
}

int main(int argc, char **argv)
{
	struct smfiDesc filter = {
		.xxfi_name = "bench", .xxfi_version = SMFI_VERSION, .xxfi_flags = SMFIF_ADDHDRS | SMFIF_CHGHDRS,
		.xxfi_envfrom = on_mail, .xxfi_header = on_header, .xxfi_eom = on_eom, .xxfi_close = on_close,
		.xxfi_negotiate = on_negotiate,
	};

	null_filter = argc == 3 && strcmp(argv[1], "-n") == 0;
	if (argc != 2 + null_filter) {
		fprintf(stderr, "usage: filter [-n] SOCKET\n");
		return 64;
	}
	md5 = EVP_MD_fetch(NULL, "MD5", NULL);
	if (smfi_setconn(argv[argc - 1]) != MI_SUCCESS || smfi_register(filter) != MI_SUCCESS)
		return 69;
	return smfi_main();
}
