/* Prints the layout table, in the form of layout.txt in sdk/abi_history. */
#include <stdio.h>

#include "abi_layout.h"

int main(void) {
    unsigned long count = 0, i = 0;
    const l2o_layout_line* lines = l2o_abi_layout(&count);
    for (i = 0; i < count; ++i) {
        const l2o_layout_line* line = &lines[i];
        if (line->kind[0] == 'c') {
            printf("constant %s %lu\n", line->name, line->offset);
        } else if (line->kind[0] == 's') {
            printf("struct %s %lu\n", line->name, line->size);
        } else {
            printf("  %s %lu %lu\n", line->name, line->offset, line->size);
        }
    }
    return 0;
}
