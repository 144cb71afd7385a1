// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "guest.h"

void json_string(FILE *out, const char *text)
{
	fputc('"', out);
	for (; *text; text++) {
		unsigned char c = *text;

		if (c == '"' || c == '\\')
			fprintf(out, "\\%c", c);
		else if (c < 0x20 || c > 0x7e)
			fprintf(out, "\\u%04x", c);
		else
			fputc(c, out);
	}
	fputc('"', out);
}

int json_error(FILE *out, const char *probe, const char *what)
{
	const char *why = strerror(errno);

	fputs("{\"probe\":", out);
	json_string(out, probe);
	fputs(",\"error\":", out);
	json_string(out, what);
	fputs(",\"reason\":", out);
	json_string(out, why);
	fputs("}\n", out);
	return -1;
}

FILE *open_file(const char *root, const char *path, int number)
{
	char name[256], full[512];

	snprintf(name, sizeof(name), path, number);
	snprintf(full, sizeof(full), "%s%s", root, name);
	return fopen(full, "re");
}
