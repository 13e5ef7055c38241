// The frame around the pages about accounts: a way back, and the pages that this user may see.

import { AccountPage } from "./account.js";
import { get } from "./api.js";
import { AuditPage } from "./audit.js";
import { nameOf } from "./device.js";
import { el, icon } from "./dom.js";
import { EnrolledPage } from "./enrolled.js";
import { EventsPage } from "./events.js";
import { GroupsPage } from "./groups.js";
import { LapsePage } from "./lapse.js";
import { LinksPage } from "./links.js";
import { MasksPage } from "./masks.js";
import { MotionPage } from "./motion.js";
import { NotificationsPage } from "./notifications.js";
import { ReleasesPage } from "./releases.js";
import { TunePage } from "./tune.js";
import { UsersPage } from "./users.js";

const PAGES = [
  { name: "account", title: "Account", page: AccountPage, may: () => true },
  { name: "events", title: "Events", page: EventsPage, may: () => true },
  { name: "notifications", title: "Notifications", page: NotificationsPage, may: () => true },
  { name: "lapse", title: "Time-lapse", page: LapsePage, may: (me) => me.operator },
  { name: "links", title: "Share links", page: LinksPage, may: (me) => me.operator },
  { name: "releases", title: "Releases", page: ReleasesPage, may: (me) => me.operator },
  { name: "tune", title: "Camera settings", page: TunePage, may: (me) => me.manages },
  { name: "masks", title: "Privacy masks", page: MasksPage, may: (me) => me.manages },
  { name: "motion", title: "Motion", page: MotionPage, may: (me) => me.manages },
  { name: "cameras", title: "Cameras", page: EnrolledPage, may: (me) => me.admin },
  { name: "users", title: "Users", page: UsersPage, may: (me) => me.admin },
  { name: "groups", title: "Groups", page: GroupsPage, may: (me) => me.admin },
  { name: "audit", title: "Audit log", page: AuditPage, may: (me) => me.admin },
];

export const PAGE_NAMES = PAGES.map(({ name }) => name);

export class SettingsView {
  #name;
  #about;
  #devices;
  #live;
  #page = null;
  #isFilled = false;
  #isClosed = false;

  /**
   * @param {string | null} about the camera that the page is to be about.
   * @param {() => Map<string, object> | null} devices what the portal has said of the cameras.
   * @param {(device: string, video: HTMLVideoElement) => object} live a viewer of a camera's small picture.
   */
  constructor(name, about, devices, live) {
    this.#live = live;
    this.#name = name;
    this.#about = about;
    this.#devices = devices;
    const back = el("a", { class: "icon-button", href: "#/", "aria-label": "All cameras", title: "All cameras (Esc)" }, icon("back"));
    this.nav = el("nav", { class: "tabs", "aria-label": "Settings" });
    this.content = el("main", { class: "content settings" });
    this.element = el("div", { class: "page" }, el("header", { class: "top settings-top" }, back, this.nav), this.content);
    this.update();
  }

  focus() {}

  close() {
    this.#isClosed = true;
    this.#page?.close?.();
  }

  get viewers() {
    return this.#page?.viewers ?? [];
  }

  /** The pages name cameras: they come once the portal has said which there are. */
  update() {
    if (this.#isFilled || !this.#devices()) return;
    this.#isFilled = true;
    this.#fill();
  }

  async #fill() {
    const me = await get("api/session");
    if (this.#isClosed) return null;
    if (me.problem) return this.content.replaceChildren(el("p", { class: "form-error" }, me.problem));
    const allowed = PAGES.filter(({ may }) => may(me));
    const current = allowed.find(({ name }) => name === this.#name) ?? allowed[0];
    this.nav.replaceChildren(...allowed.map(({ name, title }) => el("a", { href: `#/${name}`, "aria-current": name === current.name ? "page" : null }, title)));
    this.nav.querySelector("[aria-current]").scrollIntoView({ block: "nearest", inline: "center" });  // a phone shows three at once
    document.title = `${current.title} – Pinhole`;
    const page = (this.#page = new current.page({ me, about: this.#about, live: this.#live, cameras: () => [...(this.#devices() ?? new Map()).values()].map((device) => ({ ...device, name: nameOf(device) })) }));
    const heading = el("h1", { tabindex: "-1" }, current.title);
    this.content.replaceChildren(heading, page.element);
    if (document.activeElement === document.body) heading.focus({ preventScroll: true });
    return page.load();
  }
}
