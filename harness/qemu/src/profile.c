// SPDX-License-Identifier: GPL-2.0-only
/*
 * Counts the instructions that a Linux guest executes until it reaches user
 * space, by function and by the stack of functions that called it.
 *
 * No register is read, no frame pointer needed, nothing sampled: a call stores
 * its return address and a return loads it, and where they do is the stack
 * pointer. Frames are kept for each kernel stack, which is what that pointer has
 * above its lowest bits. A return ends all frames that lie below what it loads,
 * so that a jump out of a function, and a switch from one task to another, need
 * nothing of their own. A function that another one runs into or jumps to, as the
 * last thing it does or by an interrupt, takes its place: it stands beside it.
 *
 * A call of arm64 stores nothing. What its functions store is their frame record,
 * x29 and x30, and what they load in the end: that is the stack pointer too, and a
 * frame begins and ends there. A function without a record, as it calls nobody,
 * stands below the one whose record is the last.
 *
 * There are no locks: only for -icount, where the CPUs of the guest take turns.
 */
#define _GNU_SOURCE
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qemu-plugin.h"

/*
 * The kernel's half of x86-64 (Documentation/arch/x86/x86_64/mm.rst), in whose place the
 * image of arm64 lies with 48 bits (Documentation/arch/arm64/memory.rst)
 */
#define KERNEL		0xffff800000000000ull
#define REAL_MODE	(1 << 20)
/* Where the board virt has its RAM: code without address translation, and never user space */
#define ARM_RAM		(1ull << 30)
#define ARM_RAM_END	(1ull << 40)
#define THREAD_SHIFT	14	/* THREAD_SIZE is 16 KiB on both */

#define MAX_CPUS	1024
#define MAX_DEPTH	512
#define MAX_SPANS	64
#define MAX_NODES	(8 << 20)	/* half a gigabyte */
#define BUCKETS		4096
#define BOTTOM		UINT64_MAX
#define LINE		64
#define WAYS		16

enum thunk {
	NO_THUNK,
	CALL_THUNK,	/* a retpoline: its call and its ret are one jump */
	RETURN_THUNK,	/* its ret is that of the function that jumped to it */
};

/* When a function ran, in instructions executed before: from call to return, whoever ran meanwhile */
struct span {
	bool asked;
	uint64_t calls, returns, first, last, busy;
};

struct function {
	uint64_t at;
	char *name;
	enum thunk thunk;
	int number;	/* among those that ran, from 1 */
	struct span span;
};

/* Neither has a symbol. They come before all others, so that nothing is in them by address */
enum { LOW, UNKNOWN, FIRST };

/* A function, as it was called by its parents */
struct node {
	int function;
	struct node *parent, *child, *next;
	uint64_t self, calls;
};

/* One that has not returned: `slot` is where its return address lies */
struct frame {
	struct node *node;
	uint64_t slot;
};

/* A span that has begun: `depth` is that of the stack below its frame */
struct begun {
	struct function *function;
	int depth;
	uint64_t at;
};

struct stack {
	struct stack *next;
	uint64_t key;
	int depth, nr_begun;
	struct frame frames[MAX_DEPTH];
	struct begun begun[MAX_SPANS];
};

enum last { OTHER, CALL, RETURN };

struct block {
	int function;
	bool entry, user;
	enum last last;
	uint64_t size;
};

static struct function *functions;
static int nr_functions;

static struct node root = { .function = -1 }, *running = &root;
static struct stack *stacks[BUCKETS];
/*
 * `last` is how the block ends that runs. QEMU 7.2 goes on to tell a callback of what
 * helpers access after its instruction, until another one has a callback: an iret that
 * loads a segment is no ret. So the first access alone counts, and in such a block.
 */
static struct {
	struct stack *stack;
	uint64_t slot;
	enum last last;
	bool called;
	int halves;	/* of a frame record, that are still to be accessed */
} cpus[MAX_CPUS];

/* What is counted, in `total`, and for functions in the nodes */
static enum event { INSTRUCTIONS, STORES, MISSES } event;
static uint64_t total, accounted, lost;

static uint64_t *cache, nr_sets;
static int nr_nodes;
static bool arm64, exact, began, over;
static const char *out;

static void *room(size_t size)
{
	void *memory = calloc(1, size);

	if (!memory) {
		perror("profile");
		abort();
	}
	return memory;
}

static struct stack *stack_of(uint64_t slot)
{
	uint64_t key = slot >> THREAD_SHIFT;
	struct stack **bucket = &stacks[key % BUCKETS], *stack;

	for (stack = *bucket; stack; stack = stack->next)
		if (stack->key == key)
			return stack;
	stack = room(sizeof(*stack));
	stack->key = key;
	stack->next = *bucket;
	*bucket = stack;
	return stack;
}

/* What a function calls again stands first: most loops call the same one */
static struct node *child_of(struct node *parent, int function)
{
	struct node **link, *child;

	for (link = &parent->child; (child = *link); link = &child->next) {
		if (child->function == function) {
			*link = child->next;
			child->next = parent->child;
			return parent->child = child;
		}
	}
	if (nr_nodes == MAX_NODES) {
		lost++;
		return parent == &root ? root.child : parent;
	}
	nr_nodes++;
	child = room(sizeof(*child));
	child->function = function;
	child->parent = parent;
	child->next = parent->child;
	return parent->child = child;
}

static void push(struct stack *stack, uint64_t slot, int function)
{
	struct node *node;

	if (stack->depth == MAX_DEPTH) {
		lost++;
		return;
	}
	node = child_of(stack->depth ? stack->frames[stack->depth - 1].node : &root, function);
	node->calls += !arm64;	/* there it was called some instructions before */
	stack->frames[stack->depth++] = (struct frame){ node, slot };
}

/* The frame on top is that of a function from its first instruction on */
static void begin(struct stack *stack, int number)
{
	struct function *function = &functions[number];
	struct span *span = &function->span;
	int i, depth = stack->depth - 1;

	if (!span->asked || stack->nr_begun == MAX_SPANS)
		return;
	for (i = 0; i < stack->nr_begun; i++)
		if (stack->begun[i].function == function)
			return;
	stack->begun[stack->nr_begun++] = (struct begun){ function, depth, accounted };
	if (!span->calls++)
		span->first = accounted;
}

static void unwind(struct stack *stack, uint64_t slot, uint64_t now)
{
	while (stack->depth && stack->frames[stack->depth - 1].slot <= slot)
		stack->depth--;
	while (stack->nr_begun && stack->begun[stack->nr_begun - 1].depth >= stack->depth) {
		struct begun *begun = &stack->begun[--stack->nr_begun];
		struct span *span = &begun->function->span;

		span->returns++;
		span->last = now;
		span->busy += now - begun->at;
	}
}

static void account(void)
{
	running->self += total - accounted;
	accounted = total;
}

static int by_function(const void *a, const void *b)
{
	const struct node *const *one = a, *const *other = b;

	return (*one)->function - (*other)->function;
}

static void print(FILE *file, struct node *node, int depth)
{
	struct node **children, *child;
	int n = 0, i;

	if (depth >= 0)
		fprintf(file, "node %d %d %" PRIu64 " %" PRIu64 "\n", depth,
			functions[node->function].number, node->self, node->calls);
	for (child = node->child; child; child = child->next)
		n++;
	children = room((n + 1) * sizeof(*children));
	for (child = node->child, i = 0; child; child = child->next)
		children[i++] = child;
	qsort(children, n, sizeof(*children), by_function);
	for (i = 0; i < n; i++)
		print(file, children[i], depth + 1);
	free(children);
}

static void use(struct node *node)
{
	struct node *child;

	if (node->function >= 0)
		functions[node->function].number = 1;
	for (child = node->child; child; child = child->next)
		use(child);
}

static void save(const char *end)
{
	FILE *file = fopen(out, "we");
	int i, number = 0;

	if (!file) {
		perror(out);
		return;
	}
	account();
	use(&root);
	fprintf(file, "functions-by-stack 1\n");
	if (event == STORES)
		fprintf(file, "counts stores\n");
	if (event == MISSES)
		fprintf(file, "counts misses of %" PRIu64 "\n", nr_sets * WAYS * LINE);
	for (i = 0; i < nr_functions; i++) {
		if (functions[i].number) {
			functions[i].number = ++number;
			fprintf(file, "function %s\n", functions[i].name);
		}
	}
	print(file, &root, -1);
	for (i = 0; i < nr_functions; i++) {
		struct span *span = &functions[i].span;

		if (span->calls)
			fprintf(file, "span %d %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64
				" %" PRIu64 "\n", functions[i].number, span->calls, span->returns,
				span->first, span->last, span->busy);
	}
	fprintf(file, "total %" PRIu64 " lost %" PRIu64 "\nend %s\n", total, lost, end);
	fclose(file);
}

static void on_block(unsigned int cpu, void *data)
{
	struct block *block = data;
	struct stack *stack;
	struct frame *top;

	if (over)
		return;
	cpu = this_cpu(cpu);
	account();
	if (block->user && began) {
		over = true;
		save("user-space");
		return;
	}
	if (event == INSTRUCTIONS && !exact)
		total += block->size;
	cpus[cpu].last = block->last;
	stack = cpus[cpu].stack;
	if (functions[block->function].thunk && stack && stack->depth)
		return;
	began |= block->function >= FIRST;
	if (cpus[cpu].called) {
		cpus[cpu].called = false;
		stack = cpus[cpu].stack = stack_of(cpus[cpu].slot);
		unwind(stack, cpus[cpu].slot, accounted);
		push(stack, cpus[cpu].slot, block->function);
	}
	if (!stack)
		stack = cpus[cpu].stack = stack_of(0);
	if (arm64) {
		running = stack->depth ? stack->frames[stack->depth - 1].node : &root;
		if (block->entry || running->function != block->function) {
			running = child_of(running, block->function);
			running->calls += block->entry;
		}
		return;
	}
	if (!stack->depth)
		push(stack, BOTTOM, block->function);
	top = &stack->frames[stack->depth - 1];
	if (top->node->function != block->function) {
		top->node = child_of(top->node->parent, block->function);
		top->node->calls += block->entry;
	}
	running = top->node;
	if (block->entry)
		begin(stack, block->function);
}

static void on_call(unsigned int cpu, mem_info info, uint64_t vaddr, void *data)
{
	(void)data;
	/* call *MEMORY loads as well */
	if (over || !qemu_plugin_mem_is_store(info))
		return;
	cpu = this_cpu(cpu);
	if (cpus[cpu].last != CALL)
		return;
	cpus[cpu].last = OTHER;
	cpus[cpu].called = true;
	cpus[cpu].slot = vaddr;
}

static void on_return(unsigned int cpu, mem_info info, uint64_t vaddr, void *data)
{
	(void)data;
	if (over || qemu_plugin_mem_is_store(info))
		return;
	cpu = this_cpu(cpu);
	if (cpus[cpu].last != RETURN)
		return;
	cpus[cpu].last = OTHER;
	cpus[cpu].called = false;
	cpus[cpu].stack = stack_of(vaddr);
	unwind(cpus[cpu].stack, vaddr, total);
}

/* A frame record is about to be accessed: at once, or each half of it alone */
static void on_pair(unsigned int cpu, void *data)
{
	(void)data;
	cpus[this_cpu(cpu)].halves = 2;
}

static void on_record(unsigned int cpu, mem_info info, uint64_t vaddr, void *function)
{
	struct stack *stack;

	if (over)
		return;
	cpu = this_cpu(cpu);
	if (cpus[cpu].halves == 1 && vaddr != cpus[cpu].slot + 8)
		cpus[cpu].halves = 0;
	if (!cpus[cpu].halves)
		return;
	cpus[cpu].halves--;
	cpus[cpu].slot = vaddr;
	stack = cpus[cpu].stack = stack_of(vaddr);
	unwind(stack, vaddr, total);
	if (qemu_plugin_mem_is_store(info)) {
		push(stack, vaddr, (intptr_t)function);
		begin(stack, (intptr_t)function);
	}
}

static int function_at(uint64_t at)
{
	int low = FIRST, high = nr_functions - 1, middle;

	if (at < KERNEL)
		return LOW;
	if (nr_functions == FIRST || at < functions[FIRST].at)
		return UNKNOWN;
	while (low < high) {
		middle = (low + high + 1) / 2;
		if (functions[middle].at <= at)
			low = middle;
		else
			high = middle - 1;
	}
	return low;
}

/* call rel32 (e8), call r/m (ff /2), ret (c3, c2), behind prefixes that compilers put there */
static enum last follow(struct qemu_plugin_insn *insn)
{
	const uint8_t *code = insn_bytes(insn);
	size_t i = 0, size = qemu_plugin_insn_size(insn);

	while (i < size && (memchr("\x66\xf2\xf3\x2e\x3e", code[i], 5) || (code[i] & 0xf0) == 0x40))
		i++;
	if (i == size)
		return OTHER;
	if (code[i] == 0xe8 || (code[i] == 0xff && i + 1 < size && (code[i + 1] >> 3 & 7) == 2)) {
		qemu_plugin_register_vcpu_mem_cb(insn, on_call, NO_REGS, MEM_WRITE, NULL);
		return CALL;
	}
	if (code[i] == 0xc3 || code[i] == 0xc2) {
		/* QEMU 7.2 tells of no load who asks for loads alone */
		qemu_plugin_register_vcpu_mem_cb(insn, on_return, NO_REGS, MEM_ANY, NULL);
		return RETURN;
	}
	return OTHER;
}

/* stp x29, x30, [sp, #N]! or [sp, #N]; ldp x29, x30, [sp], #N or [sp, #N] */
static void follow_record(struct qemu_plugin_insn *insn, int function)
{
	uint32_t code;

	memcpy(&code, insn_bytes(insn), sizeof(code));
	code &= ~(0x7fu << 15);
	if (code != 0xa9807bfd && code != 0xa9007bfd && code != 0xa8c07bfd && code != 0xa9407bfd)
		return;
	qemu_plugin_register_vcpu_insn_exec_cb(insn, on_pair, NO_REGS, NULL);
	qemu_plugin_register_vcpu_mem_cb(insn, on_record, NO_REGS, MEM_ANY,
					 (void *)(intptr_t)function);
}

/*
 * An ideal last-level cache of all CPUs: sets of 16 lines, the latest used first,
 * for what instructions load and store. Nothing is fetched ahead, and page walks,
 * code and devices take no part.
 */
static bool is_missed(uint64_t line)
{
	uint64_t *set = cache + line % nr_sets * WAYS;
	uint64_t tag = line + 1;	/* 0 is a line that holds nothing */
	bool missed;
	int way = 0;

	while (way < WAYS - 1 && set[way] != tag)
		way++;
	missed = set[way] != tag;
	memmove(set + 1, set, way * sizeof(*set));
	set[0] = tag;
	return missed;
}

static void accessed(unsigned int cpu, mem_info info, uint64_t vaddr, void *data)
{
	struct qemu_plugin_hwaddr *where;
	uint64_t at, last;

	(void)cpu, (void)data;
	if (over || (event == STORES && !qemu_plugin_mem_is_store(info)))
		return;
	where = qemu_plugin_get_hwaddr(info, vaddr);
	if (!where || qemu_plugin_hwaddr_is_io(where))
		return;
	if (event == STORES) {
		total++;
		return;
	}
	at = qemu_plugin_hwaddr_phys_addr(where);
	last = at + (1ull << qemu_plugin_mem_size_shift(info)) - 1;
	for (at /= LINE; at <= last / LINE; at++)
		total += is_missed(at);
}

static bool is_user(uint64_t at)
{
	if (arm64)
		return at < ARM_RAM || (at >= ARM_RAM_END && at < KERNEL);
	return at >= REAL_MODE && at < KERNEL;
}

static void translated(plugin_id id, struct qemu_plugin_tb *tb)
{
	size_t i, size = qemu_plugin_tb_n_insns(tb);
	uint64_t at = qemu_plugin_tb_vaddr(tb);
	struct block *block;

	(void)id;
	if (over)
		return;
	block = room(sizeof(*block));
	block->function = function_at(at);
	block->entry = block->function >= FIRST && functions[block->function].at == at;
	block->user = is_user(at);
	block->size = size;
	qemu_plugin_register_vcpu_tb_exec_cb(tb, on_block, NO_REGS, block);
	for (i = 0; i < size; i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);

		if (event != INSTRUCTIONS)
			qemu_plugin_register_vcpu_mem_cb(insn, accessed, NO_REGS, MEM_ANY, NULL);
		else if (exact)
			qemu_plugin_register_vcpu_insn_exec_inline(insn, INLINE_ADD, &total, 1);
		if (block->function == LOW || functions[block->function].thunk == CALL_THUNK)
			continue;
		if (arm64)
			follow_record(insn, block->function);
		else
			block->last = follow(insn);
	}
}

static void ended(plugin_id id, void *data)
{
	(void)id, (void)data;
	if (!over)
		save("early");
}

static enum thunk thunk_of(const char *name)
{
	if (!strncmp(name, "__x86_indirect_", 15))
		return CALL_THUNK;
	if (strstr(name, "return_thunk") || !strncmp(name, "srso_", 5) ||
	    !strncmp(name, "retbleed_", 9))
		return RETURN_THUNK;
	return NO_THUNK;
}

/* Where the linker begins or ends something, which may be a function too */
static bool is_border(const char *name)
{
	const char *last = strrchr(name, '_');

	return last && (!strcmp(last, "_start") || !strcmp(last, "_end") || !strcmp(last, "_begin"));
}

static int by_address(const void *a, const void *b)
{
	const struct function *one = a, *other = b;

	if (one->at != other->at)
		return one->at < other->at ? -1 : 1;
	if (is_border(one->name) != is_border(other->name))
		return is_border(one->name) ? 1 : -1;
	return strcmp(one->name, other->name);
}

/* The code in a System.map; of several names of one address one alone */
static bool load(const char *path)
{
	FILE *file = fopen(path, "re");
	char line[1024], name[512], kind;
	int i, n = FIRST, most = 1 << 20;
	uint64_t at;

	if (!file) {
		perror(path);
		return false;
	}
	functions = room(most * sizeof(*functions));
	functions[LOW].name = "[firmware]";
	functions[UNKNOWN].name = "[unknown]";
	while (n < most && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%" SCNx64 " %c %511s", &at, &kind, name) != 3)
			continue;
		if (at >= KERNEL && strchr("tTwW", kind))
			functions[n++] = (struct function){ .at = at, .name = strdup(name) };
	}
	fclose(file);
	qsort(functions + FIRST, n - FIRST, sizeof(*functions), by_address);
	for (nr_functions = i = FIRST; i < n; i++)
		if (i == FIRST || functions[i].at != functions[nr_functions - 1].at)
			functions[nr_functions++] = functions[i];
	for (i = FIRST; i < nr_functions; i++)
		functions[i].thunk = thunk_of(functions[i].name);
	return nr_functions > FIRST;
}

/* By its name, or one that the compiler made of it; but for the part that it moved away */
static void ask(const char *name)
{
	size_t length = strlen(name);
	int i;

	for (i = FIRST; i < nr_functions; i++) {
		const char *own = functions[i].name;

		if (!strncmp(own, name, length) && (!own[length] || own[length] == '.') &&
		    !strstr(own, ".cold"))
			functions[i].span.asked = true;
	}
}

EXPORT int qemu_plugin_install(plugin_id id, const struct plugin_host *host, int argc, char **argv)
{
	const char *symbols = NULL;
	int i;

	for (i = 0; i < argc; i++) {
		if (!strncmp(argv[i], "out=", 4)) {
			out = strdup(argv[i] + 4);
		} else if (!strncmp(argv[i], "symbols=", 8)) {
			symbols = argv[i] + 8;
		} else if (!strncmp(argv[i], "span=", 5)) {
			continue;
		} else if (!strcmp(argv[i], "stores=on")) {
			event = STORES;
		} else if (!strncmp(argv[i], "misses=", 7)) {
			event = MISSES;
			nr_sets = strtoull(argv[i] + 7, NULL, 10) / (WAYS * LINE);
		} else {
			fprintf(stderr, "profile: cannot take %s\n", argv[i]);
			return -1;
		}
	}
	arm64 = !strcmp(host->target, "aarch64");
	if (!out || !symbols || host->most_cpus > MAX_CPUS ||
	    (!arm64 && strcmp(host->target, "x86_64"))) {
		fprintf(stderr, "profile: out=, symbols=, and x86_64 or arm64 with up to %d CPUs\n",
			MAX_CPUS);
		return -1;
	}
	if (!load(symbols)) {
		fprintf(stderr, "profile: no code in %s\n", symbols);
		return -1;
	}
	for (i = 0; i < argc; i++)
		if (!strncmp(argv[i], "span=", 5))
			ask(argv[i] + 5);
	if (event == MISSES && !nr_sets) {
		fprintf(stderr, "profile: a cache has %d bytes or more\n", WAYS * LINE);
		return -1;
	}
	cache = room(nr_sets * WAYS * sizeof(*cache));
	exact = qemu_plugin_register_vcpu_insn_exec_inline;
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	qemu_plugin_register_atexit_cb(id, ended, NULL);
	return 0;
}
