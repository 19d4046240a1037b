/* SPDX-License-Identifier: MIT */
/*
 * DOCTOR.EFI: tests a PC for Isthmus, and starts nothing. It runs as an
 * application of the firmware's, reads the machine, enters a guest of five pages
 * on every CPU, puts all back, and says what is not as it should be: on the
 * screen, and as JSON beside the loader's files. Trusts the firmware.
 */
#include <string.h>

#include "text/fmt.h"
#include "boot/loader.h"
#include "look.h"
#include "report.h"
#include "trial.h"

#define FOLDER		L"\\isthmus"
#define NAME_MAX	32u
#define NAMES		1000u		/* doctor.json, doctor-1.json .. */
#define JSON_ROOM	(1u << 19)
#define KEY_WAIT	(600ull * 10000000)	/* ten minutes, in 100 ns */

EFI_HANDLE efi_image;
EFI_SYSTEM_TABLE *efi_st;
EFI_BOOT_SERVICES *efi_bs;

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table);

static EFI_GUID image_guid = EFI_LOADED_IMAGE_PROTOCOL_GUID;
static EFI_GUID volume_guid = EFI_SIMPLE_FILE_SYSTEM_PROTOCOL_GUID;

/* static: too large for the firmware's stack */
static struct facts facts;
static struct report report;
static struct memmap map;
static char json[JSON_ROOM];

static void colour(UINTN c)
{
	if (efi_st->ConOut != NULL) {
		efi_st->ConOut->SetAttribute(efi_st->ConOut, c);
	}
}

/* The folder of the volume that this program came from; NULL: none that can be
 * written to. */
static EFI_FILE_HANDLE folder_open(void)
{
	EFI_LOADED_IMAGE *loaded;
	EFI_FILE_IO_INTERFACE *volume;
	EFI_FILE_HANDLE root, folder;
	const UINT64 mode = EFI_FILE_MODE_READ | EFI_FILE_MODE_WRITE | EFI_FILE_MODE_CREATE;

	if (EFI_ERROR(efi_bs->HandleProtocol(efi_image, &image_guid, (void **)&loaded)) ||
	    EFI_ERROR(efi_bs->HandleProtocol(loaded->DeviceHandle, &volume_guid,
					     (void **)&volume)) ||
	    EFI_ERROR(volume->OpenVolume(volume, &root)) ||
	    EFI_ERROR(root->Open(root, &folder, FOLDER, mode, EFI_FILE_DIRECTORY))) {
		return NULL;
	}
	return folder;
}

/* A file of a name that there is not yet: an earlier report stays. */
static EFI_FILE_HANDLE file_new(EFI_FILE_HANDLE folder, char *name)
{
	for (uint32_t i = 0; i < NAMES; i++) {
		CHAR16 wide[NAME_MAX] = { 0 };
		EFI_FILE_HANDLE file;

		fmt(name, NAME_MAX, i == 0 ? "doctor.json" : "doctor-%u.json", i);
		for (unsigned k = 0; name[k] != '\0'; k++) {
			wide[k] = (CHAR16)name[k];
		}
		if (!EFI_ERROR(folder->Open(folder, &file, wide, EFI_FILE_MODE_READ, 0))) {
			file->Close(file);
			continue;
		}
		return EFI_ERROR(folder->Open(folder, &file, wide, EFI_FILE_MODE_READ |
					      EFI_FILE_MODE_WRITE | EFI_FILE_MODE_CREATE, 0)) ?
		       NULL : file;
	}
	return NULL;
}

/* Keeps the report; says where, or why not. */
static void keep(void)
{
	size_t length = report_json(&facts, &report, json, sizeof(json));
	EFI_FILE_HANDLE folder = folder_open(), file;
	char name[NAME_MAX];
	UINTN n = length;

	file = folder != NULL ? file_new(folder, name) : NULL;
	if (file == NULL || length > sizeof(json) || EFI_ERROR(file->Write(file, &n, json)) ||
	    n != length || EFI_ERROR(file->Close(file))) {
		console_say("doctor: the report could not be written to \\isthmus on the stick: "
			    "is it write-protected, or full?");
		return;
	}
	folder->Close(folder);
	console_say("doctor: the report is \\isthmus\\%s on the stick", name);
}

static void tell(enum verdict which, const char *mark, UINTN c)
{
	for (uint32_t i = 0; i < report.count; i++) {
		if (report.finding[i].verdict == which) {
			colour(c);
			console_say("%s %s: %s", mark, report.check[i]->id,
				    report.check[i]->what);
			colour(EFI_LIGHTGRAY);
			console_say("    found: %s", report.finding[i].text.found);
			console_say("    %s", report.check[i]->advice);
		}
	}
}

/* What is worst comes last, and stays on the screen. */
static void show(void)
{
	console_say("%s%s%s, %s", facts.maker, facts.maker[0] != '\0' ? " " : "", facts.product,
		    facts.firmware);
	console_say("%s, CPUs %u, %lu MiB", facts.processor, facts.cpu_count,
		    facts.memory >> 20);
	tell(VERDICT_WARNING, "warning", EFI_YELLOW);
	tell(VERDICT_FAILURE, "FAILURE", EFI_LIGHTRED);
	colour(report.verdicts[VERDICT_FAILURE] != 0 ? EFI_LIGHTRED : EFI_LIGHTGREEN);
	console_say("doctor: %u checks: ok %u, warnings %u, failures %u, not there %u",
		    report.count, report.verdicts[VERDICT_OK], report.verdicts[VERDICT_WARNING],
		    report.verdicts[VERDICT_FAILURE], report.verdicts[VERDICT_ABSENT]);
	console_say("doctor: Isthmus %s", report.verdicts[VERDICT_FAILURE] != 0 ?
		    "will not run on this machine as it is set up" : "should run on this machine");
	colour(EFI_LIGHTGRAY);
}

/* The console's watch ends first: it would take the wait for a hang. */
static void wait_for_key(void)
{
	EFI_EVENT events[2];
	UINTN which, count = 1;

	console_leave_firmware();
	if (EFI_ERROR(efi_bs->CreateEvent(EVT_TIMER, 0, NULL, NULL, &events[0])) ||
	    EFI_ERROR(efi_bs->SetTimer(events[0], TimerRelative, KEY_WAIT))) {
		return;
	}
	if (efi_st->ConIn != NULL) {
		efi_st->ConIn->Reset(efi_st->ConIn, FALSE);
		events[count++] = efi_st->ConIn->WaitForKey;
	}
	efi_bs->WaitForEvent(count, events, &which);
}

/* Pages that stay when this program is gone: see trap.c. NULL: none. */
static uint8_t *pages_take(void)
{
	EFI_PHYSICAL_ADDRESS at = UINT32_MAX;

	return EFI_ERROR(efi_bs->AllocatePages(AllocateMaxAddress, EfiBootServicesData, PAGE_COUNT,
					       &at)) ? NULL : (uint8_t *)at;
}

/** Entry from the firmware, and back to it after a key or ten minutes. */
EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table)
{
	uint8_t *pages;

	efi_image = image;
	efi_st = table;
	efi_bs = table->BootServices;
	facts.watchdog_left = EFI_ERROR(efi_bs->SetWatchdogTimer(0, 0, 0, NULL));
	console_init(look_rsdp());
	console_stage(STAGE_FIRMWARE, "doctor");
	console_say("doctor: this machine is being looked at; nothing is started");
	pages = pages_take();
	if (pages == NULL) {
		console_say("doctor: too little memory below 4 GiB");
		return EFI_OUT_OF_RESOURCES;
	}
	console_say("doctor: firmware");
	look_firmware(&facts);
	console_say("doctor: processors, and a guest on each");
	look_all_cpus(&facts, pages);
	console_say("doctor: memory and devices");
	look_memory(&facts, &map);
	look_board(&facts, look_rsdp(), &map);
	look_time(&facts);
	look_devices(&facts);
	report_make(&facts, &report);
	show();
	keep();
	console_say("doctor: finished; a key returns to the firmware");
	wait_for_key();
	return EFI_SUCCESS;
}
