// Every view of the page. A view's module is loaded when somebody first goes there; it exports what draws:
//
//   export const view = {
//     open(page) {             // draws itself and loads by page.load; see frame/page.js
//       return { root, refresh };   // refresh is called when the address's state or the figures have changed
//     },
//   };
//
// The router knows these things of a view before its module is loaded:
//   path      after #/; ":name" stands for a parameter
//   section   the entry of the side bar that it stands under
//   title     tab, breadcrumb and title of the window; a view without a tab has `tab: false`
//   roles     who may see it; everybody where this is left out
//   load      brings the module

/** The side bar, from above; a section is shown once it has a view. */
export const SECTIONS = [
  { id: "overview", title: "Overview" },
  { id: "customers", title: "Customers" },
  { id: "segments", title: "Segments" },
  { id: "value", title: "Value" },
  { id: "model", title: "Model" },
  { id: "campaigns", title: "Campaigns" },
  { id: "data", title: "Data" },
  { id: "people", title: "People" },
];

/** The first view of a section is where its entry leads; tabs stand in this order. */
export const VIEWS = [
  { path: "", section: "overview", title: "Overview", load: () => import("./views/overview.js") },
  { path: "customers", section: "customers", title: "Customers", load: () => import("./views/customers.js") },
  { path: "customers/new-at-risk", section: "customers", title: "Newly at risk", load: () => import("./views/risk.js") },
  { path: "customers/announced-ends", section: "customers", title: "Announced", load: () => import("./views/announced.js") },
  { path: "customers/:id", section: "customers", title: "Customer", tab: false, load: () => import("./views/customer.js") },
  { path: "segments", section: "segments", title: "Groups", load: () => import("./views/segments.js") },
  { path: "segments/cohorts", section: "segments", title: "Cohorts", load: () => import("./views/cohorts.js") },
  { path: "value", section: "value", title: "Value", load: () => import("./views/value.js") },
  { path: "model", section: "model", title: "Quality", load: () => import("./views/model.js") },
  { path: "model/live", section: "model", title: "Live", load: () => import("./views/live.js") },
  { path: "model/versions", section: "model", title: "Versions", load: () => import("./views/versions.js") },
  { path: "campaigns", section: "campaigns", title: "Campaigns", load: () => import("./views/campaigns.js") },
  { path: "campaigns/:id", section: "campaigns", title: "Campaign", tab: false, load: () => import("./views/campaign.js") },
  { path: "data", section: "data", title: "Import", load: () => import("./views/import.js") },
  { path: "data/jobs", section: "data", title: "Jobs", load: () => import("./views/jobs.js") },
  { path: "data/schedule", section: "data", title: "Schedule", load: () => import("./views/schedule.js") },
  { path: "data/webhooks", section: "data", title: "Webhooks", roles: ["admin"], load: () => import("./views/webhooks.js") },
  { path: "people", section: "people", title: "Accounts and keys", load: () => import("./views/accounts.js") },
  { path: "people/audit", section: "people", title: "Audit log", roles: ["admin"], load: () => import("./views/audit.js") },
];
