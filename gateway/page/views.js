// Every view of the page. A view is a module under views/ that exports one object:
//
//   export const liveView = {
//     path: "model/live",      // after #/; ":name" stands for a parameter
//     section: "model",        // the entry of the side bar that it stands under
//     title: "Live",           // tab, breadcrumb and title of the window; a view without a tab has `tab: false`
//     roles: ["admin"],        // who may see it; everybody where this is left out
//     open(page) {             // draws itself and loads by page.load; see frame/page.js
//       return { root, refresh };   // refresh is called when the address's state or the figures have changed
//     },
//   };

import { accountsView } from "./views/accounts.js";
import { announcedView } from "./views/announced.js";
import { auditView } from "./views/audit.js";
import { campaignsView, campaignView } from "./views/campaigns.js";
import { cohortsView } from "./views/cohorts.js";
import { customerView } from "./views/customer.js";
import { customersView } from "./views/customers.js";
import { importView } from "./views/import.js";
import { jobsView } from "./views/jobs.js";
import { liveView } from "./views/live.js";
import { modelView } from "./views/model.js";
import { overviewView } from "./views/overview.js";
import { riskView } from "./views/risk.js";
import { scheduleView } from "./views/schedule.js";
import { segmentsView } from "./views/segments.js";
import { valueView } from "./views/value.js";
import { versionsView } from "./views/versions.js";
import { webhooksView } from "./views/webhooks.js";

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
  overviewView,
  customersView,
  riskView,
  announcedView,
  customerView,
  segmentsView,
  cohortsView,
  valueView,
  modelView,
  liveView,
  versionsView,
  campaignsView,
  campaignView,
  importView,
  jobsView,
  scheduleView,
  webhooksView,
  accountsView,
  auditView,
];
