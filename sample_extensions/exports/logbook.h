#ifndef LOGBOOK_H_
#define LOGBOOK_H_

/* What the extension `logbook` offers to others. */
void logbook_add(const char *entry, int value);
extern int logbook_entries;

#endif /* LOGBOOK_H_ */
