/* SPDX-FileCopyrightText: the iproute2-respin authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
/* Runs the three functions of the loader on ELF objects.
 *
 * The objects are described on standard input, a word or more a line:
 *	object NAME MAP_LEN END
 *	symbol NAME TYPE BIND SECTION VALUE	(section 1 is "maps", 2 is another one)
 *	run
 * For each variant in table.h, "run" prints a line: the variant, the object, how many
 * maps it counts, what its check of the offsets returns, and the names that it finds,
 * "-" where it finds none.
 */
#include <fcntl.h>
#include <gelf.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct bpf_elf_map {
	uint32_t member[MAP_MEMBERS];
};

struct bpf_elf_ctx {
	Elf_Data *sym_tab;
	Elf_Data *str_tab;
	int sym_num;
	int sec_maps;
	int map_len;
};

static const char *bpf_str_tab_name(const struct bpf_elf_ctx *ctx, const GElf_Sym *sym)
{
	return (const char *)ctx->str_tab->d_buf + sym->st_name;
}

static void bpf_btf_annotate(struct bpf_elf_ctx *ctx, int which, const char *name)
{
	(void)ctx, (void)which, (void)name;
}

struct variant {
	const char *name;
	int (*num)(struct bpf_elf_ctx *ctx);
	int (*verify)(struct bpf_elf_ctx *ctx, int end);
	const char *(*fetch)(struct bpf_elf_ctx *ctx, int which);
};

#include "table.h"

enum { MAPS = 1, OTHER, STRTAB, SYMTAB };

static Elf64_Sym symbols[64];
static size_t symbol_count, string_size;
static char strings[4096];

static size_t string(const char *text)
{
	size_t at = string_size;

	if (at + strlen(text) + 1 > sizeof(strings))
		exit(2);
	strcpy(strings + at, text);
	string_size += strlen(text) + 1;
	return at;
}

static void section(Elf *elf, uint32_t type, size_t name, void *data, size_t size, uint32_t link)
{
	Elf_Scn *scn = elf_newscn(elf);
	Elf_Data *content = elf_newdata(scn);
	Elf64_Shdr *header = elf64_getshdr(scn);

	content->d_buf = data;
	content->d_size = size;
	content->d_type = type == SHT_SYMTAB ? ELF_T_SYM : ELF_T_BYTE;
	content->d_align = 8;
	header->sh_type = type;
	header->sh_name = name;
	header->sh_link = link;
	header->sh_entsize = type == SHT_SYMTAB ? sizeof(Elf64_Sym) : 0;
}

static void make(int fd)
{
	static char data[4096];
	size_t maps = string("maps"), other = string(".data");
	size_t strtab = string(".strtab"), symtab = string(".symtab");
	Elf *elf = elf_begin(fd, ELF_C_WRITE, NULL);
	Elf64_Ehdr *header = elf64_newehdr(elf);

	header->e_type = ET_REL;
	header->e_machine = EM_BPF;
	header->e_shstrndx = STRTAB;
	section(elf, SHT_PROGBITS, maps, data, sizeof(data), 0);
	section(elf, SHT_PROGBITS, other, data, sizeof(data), 0);
	section(elf, SHT_STRTAB, strtab, strings, string_size, 0);
	section(elf, SHT_SYMTAB, symtab, symbols, symbol_count * sizeof(*symbols), STRTAB);
	if (elf_update(elf, ELF_C_WRITE) < 0)
		exit(3);
	elf_end(elf);
}

static void run(const char *object, int map_len, int end)
{
	char path[] = "object-XXXXXX";
	int fd = mkstemp(path);
	struct bpf_elf_ctx ctx = { .sec_maps = MAPS, .map_len = map_len };
	Elf *elf;

	if (fd < 0)
		exit(4);
	unlink(path);
	make(fd);
	elf = elf_begin(fd, ELF_C_READ, NULL);
	ctx.sym_tab = elf_getdata(elf_getscn(elf, SYMTAB), NULL);
	ctx.str_tab = elf_getdata(elf_getscn(elf, STRTAB), NULL);
	ctx.sym_num = ctx.sym_tab->d_size / sizeof(Elf64_Sym);

	for (const struct variant *v = variants; v->name; v++) {
		printf("%s %s %d %d", v->name, object, v->num(&ctx), v->verify(&ctx, end));
		for (int i = 0; i < end / map_len; i++) {
			const char *name = v->fetch(&ctx, i);

			printf(" %s", name ? name : "-");
		}
		printf("\n");
	}
	elf_end(elf);
	close(fd);
}

int main(void)
{
	char word[32], name[64];
	char object[64] = "";
	int map_len = 0, end = 0;

	elf_version(EV_CURRENT);
	while (scanf("%31s", word) == 1) {
		unsigned int type, bind, where, value;

		if (!strcmp(word, "object")) {
			if (scanf("%63s %d %d", object, &map_len, &end) != 3 || map_len < 1)
				return 5;
			memset(symbols, 0, sizeof(symbols));
			symbol_count = 1;
			string_size = 1;
		} else if (!strcmp(word, "symbol")) {
			if (scanf("%63s %u %u %u %u", name, &type, &bind, &where, &value) != 5 ||
			    symbol_count >= sizeof(symbols) / sizeof(*symbols))
				return 6;
			symbols[symbol_count++] = (Elf64_Sym){
				.st_name = string(name), .st_info = ELF64_ST_INFO(bind, type),
				.st_shndx = where, .st_value = value, .st_size = map_len,
			};
		} else {
			run(object, map_len, end);
		}
	}
	return 0;
}
