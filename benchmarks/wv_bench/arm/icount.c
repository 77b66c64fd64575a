/* icount.c - a QEMU TCG plugin (API v1, qemu-user 7.2 or newer): how often each block of guest code ran.
 *
 *     cc -O2 -shared -fPIC -o icount.so icount.c
 *     qemu-aarch64 -plugin ./icount.so -d plugin -D counts.txt PROGRAM ARGS...
 *
 * One line per block of straight-line code: its guest address in hex, its instructions, how often it was entered. Sums
 * of the products are executed instructions, exact and the same in every run. The declarations stand in for
 * qemu-plugin.h, which not every distribution packages. */
#include <inttypes.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define API __attribute__((visibility("default")))
struct qemu_plugin_tb;
struct qemu_info;
typedef void (*translate_cb)(uint64_t id, struct qemu_plugin_tb *);
typedef void (*exit_cb)(uint64_t id, void *);
extern void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t id, translate_cb);
extern void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *, int op, void *counter, uint64_t add);
extern uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *);
extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
extern void qemu_plugin_register_atexit_cb(uint64_t id, exit_cb, void *);
extern void qemu_plugin_outs(const char *);
API int qemu_plugin_version = 1;

typedef struct block {
    uint64_t address, n_insns, n_entered;
    struct block *next;
} block;
static block *blocks;

/* QEMU may translate the same code again: each translation has a counter of its own. */
static void on_translate(uint64_t id, struct qemu_plugin_tb *tb) {
    (void)id;
    block *b = calloc(1, sizeof *b);
    if (b == NULL) abort();
    *b = (block){qemu_plugin_tb_vaddr(tb), qemu_plugin_tb_n_insns(tb), 0, blocks};
    blocks = b;
    qemu_plugin_register_vcpu_tb_exec_inline(tb, 0, &b->n_entered, 1);
}

static void on_exit_(uint64_t id, void *unused) {
    (void)id;
    (void)unused;
    char line[80];
    for (const block *b = blocks; b; b = b->next) {
        if (b->n_entered == 0) continue;
        snprintf(line, sizeof line, "%" PRIx64 " %" PRIu64 " %" PRIu64 "\n", b->address, b->n_insns, b->n_entered);
        qemu_plugin_outs(line);
    }
}

API int qemu_plugin_install(uint64_t id, const struct qemu_info *info, int argc, char **argv) {
    (void)info;
    (void)argc;
    (void)argv;
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translate);
    qemu_plugin_register_atexit_cb(id, on_exit_, NULL);
    return 0;
}
